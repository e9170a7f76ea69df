package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/nats-io/nuid"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/services/presence"
)

type presenceCmd struct {
	natsFlags    `embed:""`
	serviceFlags `embed:""`
	keepFlag     `embed:""`
}

// Help is shown by --help.
func (presenceCmd) Help() string {
	return "Knows who is in which room, ends the sessions of edges that died and of participants that did not come back.\n\n" +
		"Example:\n  airloom presence --nats nats://127.0.0.1:4222 --health 127.0.0.1:8081"
}

// Run works until Ctrl-C.
func (c *presenceCmd) Run(p *program) error {
	proc, err := p.process(c.serviceFlags, "presence")
	if err != nil {
		return err
	}
	defer proc.close()
	b, err := c.connect(p.ctx, bus.Presence, proc.logger)
	if err != nil {
		return err
	}
	defer b.Close()
	service, err := openPresence(b, c.Region, defaultSettings(c.Keep), proc)
	if err != nil {
		return err
	}
	ready := presenceReady(service)
	return together(p.ctx, service.Run,
		func(ctx context.Context) error { return health(ctx, c.Health, proc, ready) },
		func(ctx context.Context) error { return p.sayReady(ctx, ready, "ready presence") })
}

func openPresence(b *bus.Bus, region string, defaults room.Settings, proc *process) (*presence.Service, error) {
	id := instance()
	log := eventlog.New(b, region, id, defaults, proc.logger)
	service, err := presence.New(presence.Config{Instance: id}, b, log, proc.logger)
	if err != nil {
		return nil, fmt.Errorf("open presence: %w", err)
	}
	return service, nil
}

func presenceReady(s *presence.Service) func() error {
	return unless(s.Ready, "presence has not caught up with the log")
}

// instance names one start of a service.
func instance() string { return strings.ToLower(nuid.Next()) }
