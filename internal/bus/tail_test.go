package bus

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// stocked gives an admin's JetStream with a stream of three messages.
func stocked(t *testing.T) (context.Context, jetstream.JetStream) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	server, err := Embed(EmbedConfig{Dir: t.TempDir(), Region: "r", Lazy: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	connect := func(role Role) jetstream.JetStream {
		b, err := Connect(ctx, server.Config(role), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		if role == Admin {
			err = b.EnsureStreams(ctx, Streams{Region: "r"})
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.JetStream()
	}
	js := connect(Admin)
	edge := connect(Edge)
	for _, on := range []string{"log.r.1.a.x", "log.r.1.b.x", "log.r.1.a.x"} {
		if _, err := edge.Publish(ctx, on, []byte(on)); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, js
}

func next(t *testing.T, tail *Tail) (position uint64) {
	t.Helper()
	_, meta, err := tail.Next()
	if err != nil {
		t.Fatal(err)
	}
	return meta.Sequence.Stream
}

func TestTailReadsFromAPosition(t *testing.T) {
	ctx, js := stocked(t)
	all, err := OpenTail(ctx, js, "LOG_r", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Stop()
	if a, b := next(t, all), next(t, all); a != 2 || b != 3 || all.Pending != 2 {
		t.Errorf("read %d and %d of %d", a, b, all.Pending)
	}
	some, err := OpenTail(ctx, js, "LOG_r", 0, "log.r.1.a.x")
	if err != nil {
		t.Fatal(err)
	}
	defer some.Stop()
	if a, b := next(t, some), next(t, some); a != 1 || b != 3 || some.Pending != 2 {
		t.Errorf("read %d and %d of %d with a filter", a, b, some.Pending)
	}
}

// A consumer that is gone, as with the server that had it, ends the reading soon.
func TestTailEndsWithItsConsumer(t *testing.T) {
	ctx, js := stocked(t)
	tail, err := OpenTail(ctx, js, "LOG_r", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Stop()
	next(t, tail)
	stream, err := js.Stream(ctx, "LOG_r")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(ctx).Name() {
		if err := stream.DeleteConsumer(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	for err = nil; err == nil; {
		_, _, err = tail.Next() // what was sent already is given first
	}
	if !errors.Is(err, ErrTail) || ctx.Err() != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTailEndsWithItsContext(t *testing.T) {
	ctx, js := stocked(t)
	ctx, cancel := context.WithCancel(ctx)
	tail, err := OpenTail(ctx, js, "LOG_r", 3)
	if err != nil {
		t.Fatal(err)
	}
	defer tail.Stop()
	cancel()
	if _, _, err := tail.Next(); !errors.Is(err, ErrTail) {
		t.Errorf("ended with %v", err)
	}
	if _, err := OpenTail(ctx, js, "LOG_r", 0); err == nil {
		t.Error("opened although its context is over")
	}
	if _, err := OpenTail(t.Context(), js, "LOG_none", 0); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("no such stream: %v", err)
	}
}
