package main

import (
	"fmt"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// logCmd is about the log in NATS: its streams and who may use them.
type logCmd struct {
	Init  logInitCmd  `cmd:"" help:"Make the streams of a region that are not there yet."`
	Users logUsersCmd `cmd:"" help:"Print the NATS users of the services and what each may do."`
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

type logUsersCmd struct {
	Region string `default:"local" help:"Name of this region."`
}

// Help is shown by --help.
func (logUsersCmd) Help() string {
	return "A block for nats-server's configuration. Passwords come from its environment: EDGE_PASSWORD, PRESENCE_PASSWORD, RECORDER_PASSWORD,\n" +
		"ADMIN_PASSWORD.\n\nExample:\n  airloom log users --region eu >users.conf"
}

// Validate is called by the parser.
func (c *logUsersCmd) Validate() error { return subject.Region(c.Region) }

// Run prints the block.
func (c *logUsersCmd) Run(p *program) error {
	_, err := fmt.Fprintf(p.out, "# The users of region %s and what each may do. Written by: airloom log users --region %s\n%s", c.Region, c.Region, bus.AuthorizationConf(c.Region))
	return err
}
