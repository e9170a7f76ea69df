package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/subject"
)

// Streams says what the log of a region looks like.
type Streams struct {
	Region   string
	Replicas int           // 1 or 3; 0: 3 in a cluster of at least three, else 1
	LogAge   time.Duration // how long the audio log keeps packs; default 72 h
	LogBytes int64         // 0: no bound but the server's
}

// EnsureStreams makes the streams that are missing and leaves those alone that are there. It needs the right to
// create streams only when one is missing.
func (b *Bus) EnsureStreams(ctx context.Context, cfg Streams) error {
	if cfg.Replicas == 0 {
		cfg.Replicas = b.replicas()
	}
	for _, stream := range configs(cfg) {
		if err := b.ensure(ctx, stream); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) replicas() int {
	if b.conn.ConnectedClusterName() != "" && len(b.conn.Servers()) >= 3 {
		return 3
	}
	return 1
}

func configs(cfg Streams) []jetstream.StreamConfig {
	if cfg.LogAge == 0 {
		cfg.LogAge = 72 * time.Hour
	}
	if cfg.LogBytes == 0 {
		cfg.LogBytes = -1
	}
	source, destination := subject.Republish(cfg.Region)
	events := jetstream.StreamConfig{
		Name: subject.EventStream(cfg.Region), Description: "airloom: room events",
		Subjects:  []string{subject.EventCapture(cfg.Region)},
		RePublish: &jetstream.RePublish{Source: source, Destination: destination},
	}
	log := jetstream.StreamConfig{
		Name: subject.LogStream(cfg.Region), Description: "airloom: audio log",
		Subjects: []string{subject.LogCapture(cfg.Region)},
		MaxAge:   cfg.LogAge, MaxBytes: cfg.LogBytes,
	}
	streams := []jetstream.StreamConfig{events, log}
	for i := range streams {
		s := &streams[i]
		s.Replicas, s.Storage, s.Retention = cfg.Replicas, jetstream.FileStorage, jetstream.LimitsPolicy
		s.Discard = jetstream.DiscardNew // refuse and tell, never drop the oldest in silence
		s.DenyDelete, s.DenyPurge, s.AllowDirect = true, true, true
	}
	return streams
}

func (b *Bus) ensure(ctx context.Context, cfg jetstream.StreamConfig) error {
	nobody := 0
	for {
		missing, err := b.attempt(ctx, cfg)
		if err == nil {
			return nil
		}
		if noJetStream(err) {
			nobody++
		}
		// A cluster that is just forming refuses with several codes: try until the caller's patience ends. But a server that has
		// JetStream answers from its start on.
		if ctx.Err() != nil || nobody == 10 {
			return fmt.Errorf("open stream %s: %s: %w", cfg.Name, trouble(missing, err), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func noJetStream(err error) bool {
	return errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) ||
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount)
}

// trouble puts into words why a stream could not be had, and what to do.
func trouble(missing bool, err error) string {
	switch {
	case noJetStream(err):
		return "this NATS has no JetStream: start nats-server with -js or a jetstream block"
	case missing:
		return "it is not there and this user cannot make it: run `airloom log init --nats URL` with the admin user"
	default:
		return "JetStream does not answer: a cluster needs most of its servers, see their logs"
	}
}

// attempt looks for the stream and makes it where it is missing. A cluster without a leader, and a server that denies, do not
// answer at all: what was asked of them is asked again, not waited for.
func (b *Bus) attempt(ctx context.Context, cfg jetstream.StreamConfig) (missing bool, err error) {
	look, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err = b.js.Stream(look, cfg.Name); !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, err
	}
	create, cancel := context.WithTimeout(ctx, 5*time.Second) // three replicas take their time
	defer cancel()
	if _, err = b.js.CreateStream(create, cfg); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		err = nil
	}
	return true, err
}
