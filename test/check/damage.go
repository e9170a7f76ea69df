package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"airloom/internal/subject"
)

func fillRecorder(_ context.Context, c *cluster, f fault) error { return c.disk(f.on[0]).fill() }
func freeRecorder(_ context.Context, c *cluster, f fault) error { return c.disk(f.on[0]).free() }

// fillNode fills the disk of one nats-server, which then serves no JetStream any more until it is started anew.
func fillNode(_ context.Context, c *cluster, f fault) error { return c.disk(f.on[0]).fill() }

func freeNode(_ context.Context, c *cluster, f fault) error {
	node := c.named(f.on[0])
	return errors.Join(c.disk(f.on[0]).free(), node.kill(), node.start())
}

// flip damages the audio log as one server has it: stop, one to three bits in its block files, and (by the undoing) start. It happens to one server
// in a run at most: with two of three copies damaged nobody could promise anything. A server that was stopped in order believes its index of the
// blocks when it comes up, one that was killed reads them: each sees the damage at another time.
func flip(_ context.Context, c *cluster, f fault) error {
	stop := func(p *process) error { return p.stop(30 * time.Second) }
	if f.amount/3%2 == 0 {
		stop = (*process).kill
	}
	if err := stop(c.named(f.on[0])); err != nil {
		return err
	}
	var store string
	for _, n := range c.nodes {
		if n.name == f.on[0] {
			store = n.store
		}
	}
	blocks, err := filepath.Glob(filepath.Join(store, "jetstream", "*", "streams", subject.LogStream(region), "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		return errors.Join(fmt.Errorf("no blocks of the audio log below %s", store), err)
	}
	slices.Sort(blocks)
	block := blocks[f.amount%len(blocks)]
	data, err := os.ReadFile(block)
	if err != nil || len(data) == 0 {
		return err // an empty log cannot be damaged
	}
	for i := range 1 + f.amount%3 {
		at := (f.amount*7919 + i*104729) % len(data)
		data[at] ^= 1 << (f.amount % 8)
	}
	file, err := os.OpenFile(block, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("damage %s: %w", block, err)
	}
	_, err = file.WriteAt(data, 0)
	return errors.Join(err, file.Sync(), file.Close())
}
