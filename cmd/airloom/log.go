package main

import (
	"fmt"

	"airloom/internal/bus"
)

// logCmd is about the log's streams in NATS.
type logCmd struct {
	Init logInitCmd `cmd:"" help:"Make the streams of a region that are not there yet."`
}

type logInitCmd struct {
	natsFlags `embed:""`
}

// Help is shown by --help.
func (logInitCmd) Help() string {
	return "Services make the streams themselves when their NATS user may. In a cluster where it may not, run this once with\n" +
		"the admin user.\n\nExample:\n  airloom log init --nats nats://admin:...@127.0.0.1:4222 --replicas 3"
}

// Run makes what is missing and leaves the rest alone.
func (c *logInitCmd) Run(p *program) error {
	b, err := c.connect(p.ctx, bus.Admin, serviceFlags{LogLevel: "warn"}.logger(p))
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Fprintf(p.out, "the log of region %s is there\n", c.Region)
	return nil
}
