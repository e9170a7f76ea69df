package main

import (
	"context"
	"fmt"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/services/recorder"
)

type recorderCmd struct {
	natsFlags    `embed:""`
	serviceFlags `embed:""`
	keepFlag     `embed:""`

	Blob string `default:"airloom-recordings" placeholder:"URL" help:"Where recordings go: a folder, file:///path, or s3://bucket?region=..."`
}

// Help is shown by --help.
func (recorderCmd) Help() string {
	return "Follows the audio log and writes recordings; any number may run, they write the same bytes.\n\n" +
		"Example:\n  airloom recorder --nats nats://127.0.0.1:4222 --blob file:///var/lib/airloom/recordings"
}

// Run works until Ctrl-C, then finishes what is in hand.
func (c *recorderCmd) Run(p *program) error {
	proc, err := p.process(c.serviceFlags, "recorder")
	if err != nil {
		return err
	}
	defer proc.close()
	store, err := openBlob(p.ctx, c.Blob)
	if err != nil {
		return err
	}
	defer store.Close()
	b, err := c.connect(p.ctx, bus.Recorder, proc.logger)
	if err != nil {
		return err
	}
	defer b.Close()
	service, err := openRecorder(b, c.Region, store, defaultSettings(c.Keep), proc)
	if err != nil {
		return err
	}
	ready := recorderReady(service)
	return together(p.ctx, service.Run,
		func(ctx context.Context) error { return health(ctx, c.Health, proc, ready) },
		func(ctx context.Context) error { return p.sayReady(ctx, ready, "ready recorder") })
}

func openBlob(ctx context.Context, where string) (*blob.Store, error) {
	store, err := blob.Open(ctx, where)
	if err != nil {
		return nil, hint(fmt.Errorf("open the store of recordings: %w", err), "Give --blob a folder that can be written, or s3://bucket?region=...")
	}
	return store, nil
}

func openRecorder(b *bus.Bus, region string, store *blob.Store, defaults room.Settings, proc *process) (*recorder.Recorder, error) {
	log := eventlog.New(b, region, instance(), defaults, proc.logger)
	service, err := recorder.New(recorder.Config{Region: region}, b, log, store, proc.logger)
	if err != nil {
		return nil, fmt.Errorf("open recorder: %w", err)
	}
	return service, nil
}

func recorderReady(r *recorder.Recorder) func() error {
	return unless(r.Ready, "the recorder has not caught up with the log, or cannot write recordings")
}
