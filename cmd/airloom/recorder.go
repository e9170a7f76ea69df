package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"airloom/internal/auth"
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

	Key   string        `env:"AIRLOOM_RECORDER_KEY" type:"path" placeholder:"FILE" help:"Private key that signs recordings ('airloom key FILE' makes it); FILE.pub proves them. Without: they are not signed."`
	Stall time.Duration `default:"1m" placeholder:"TIME" help:"How long the store of recordings may take without getting on before an attempt is made anew; a large upload gets longer, by its size."`
	Blob  string        `default:"airloom-recordings" placeholder:"URL" help:"Where recordings go: a folder, file:///path, or s3://bucket?region=..."`
}

// Help is shown by --help.
func (recorderCmd) Help() string {
	return "Follows the audio log and writes recordings; any number may run, they write the same bytes.\n\n" +
		"With --key it signs each recording: 'airloom recording verify ID --key FILE.pub' proves it from then on. It is a key of its own, not\n" +
		"the one of tokens; recorders of one region share it, or sign beside each other.\n\n" +
		"Example:\n  airloom key recorder.key\n" +
		"  airloom recorder --nats nats://127.0.0.1:4222 --blob file:///var/lib/airloom/recordings --key recorder.key"
}

// Run works until Ctrl-C, then finishes what is in hand.
func (c *recorderCmd) Run(p *program) error {
	proc, err := p.process(c.serviceFlags, "recorder")
	if err != nil {
		return err
	}
	defer proc.close()
	key, err := signingKey(c.Key)
	if err != nil {
		return err
	}
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
	service, err := openRecorder(b, recorder.Config{Region: c.Region, Key: key, Stall: c.Stall}, store, defaultSettings(c.Keep), proc)
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

// signingKey loads the key that signs recordings; nil where there is none.
func signingKey(path string) (ed25519.PrivateKey, error) {
	if path == "" {
		return nil, nil
	}
	key, err := auth.LoadPrivateKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = hint(err, "Give --key the private file of a key pair; `airloom key FILE` makes one.")
	}
	return key, err
}

func openRecorder(b *bus.Bus, cfg recorder.Config, store *blob.Store, defaults room.Settings, proc *process) (*recorder.Recorder, error) {
	log := eventlog.New(b, cfg.Region, instance(), defaults, proc.logger)
	service, err := recorder.New(cfg, b, log, store, proc.logger)
	if err != nil {
		return nil, fmt.Errorf("open recorder: %w", err)
	}
	return service, nil
}

func recorderReady(r *recorder.Recorder) func() error {
	return unless(r.Ready, "the recorder has not caught up with the log, or cannot write recordings")
}
