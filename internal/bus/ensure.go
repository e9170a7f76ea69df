package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ensure makes a stream if it is missing, trying until ctx ends: a cluster that is just forming refuses with several codes. But a
// server that has JetStream answers from its start on.
func (b *Bus) ensure(ctx context.Context, cfg jetstream.StreamConfig) error {
	nobody := 0
	var told error // why JetStream would not make it: says more than that time is over
	for {
		missing, err := b.attempt(ctx, cfg)
		if err == nil {
			return nil
		}
		if noJetStream(err) {
			nobody++
		}
		if missing && refused(err) {
			told = err
		}
		if ctx.Err() != nil || nobody == 10 {
			if told != nil {
				missing, err = true, told
			}
			return fmt.Errorf("open stream %s: %s: %w", cfg.Name, trouble(missing, cfg.Replicas, err), err)
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

// refused says that JetStream answered, and would not. A user without the right gets no answer at all.
func refused(err error) bool {
	var said jetstream.JetStreamError
	return errors.As(err, &said) && said.APIError() != nil && !noJetStream(err)
}

// trouble puts into words why a stream could not be had, and what to do.
func trouble(missing bool, replicas int, err error) string {
	switch {
	case noJetStream(err):
		return "this NATS has no JetStream: start nats-server with -js or a jetstream block"
	case missing && refused(err) && replicas > 1:
		return fmt.Sprintf("it is not there and NATS cannot make it with %d replicas: start as many servers with JetStream, or give --replicas 1 "+
			"(what is acked is then on one disk only)", replicas)
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
	there, err := b.js.Stream(look, cfg.Name)
	if err == nil {
		b.compare(cfg, there.CachedInfo().Config)
		return false, nil
	}
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, err
	}
	create, cancel := context.WithTimeout(ctx, 5*time.Second) // three replicas take their time
	defer cancel()
	if _, err = b.js.CreateStream(create, cfg); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		err = nil
	}
	return true, err
}

// compare logs what an operator should know of a stream that somebody else made: how safe an ack is, whether the oldest is dropped in
// silence, whether facts are heard.
func (b *Bus) compare(want, have jetstream.StreamConfig) {
	var differs []string
	if have.Replicas != want.Replicas {
		differs = append(differs, fmt.Sprintf("%d replicas, not %d", have.Replicas, want.Replicas))
	}
	if have.Discard != want.Discard {
		differs = append(differs, fmt.Sprintf("when it is full %s, not %s", have.Discard, want.Discard))
	}
	if had, wants := republished(have), republished(want); had != wants {
		differs = append(differs, fmt.Sprintf("republishes %s, not %s", had, wants))
	}
	if len(differs) > 0 {
		b.logger.Warn("a stream is not as this version would make it: have the NATS admin edit it (`nats stream edit`), or give --replicas as it is",
			"stream", want.Name, "differs", strings.Join(differs, "; "))
	}
}

func republished(cfg jetstream.StreamConfig) string {
	if cfg.RePublish == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q on %q", cfg.RePublish.Source, cfg.RePublish.Destination)
}
