package eventlog_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// The newest event is nowhere any more. Who follows has caught up all the same, and hears what comes.
func TestFollowingCatchesUpWithALostEnd(t *testing.T) {
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	stream, err := connect(t, server, bus.Admin).JetStream().CreateStream(t.Context(), jetstream.StreamConfig{ // one that lets delete
		Name: subject.EventStream("local"), Subjects: []string{"ev.local.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	log := eventlog.New(connect(t, server, bus.Presence), "local", "test", recordDefaults, slog.New(slog.DiscardHandler))
	appendAll(t, log, "hall", joins(0, 3)...)
	if err := stream.DeleteMsg(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	caughtUp, done := make(chan struct{}), errors.New("done")
	followed := make(chan error, 1)
	go func() {
		followed <- log.Follow(ctx, 0, func() { close(caughtUp) }, func(e *room.Event) error {
			if e.Position == 4 {
				return done
			}
			return nil
		})
	}()
	select {
	case <-caughtUp:
	case err := <-followed:
		t.Fatalf("it ended with %v", err)
	case <-ctx.Done():
		t.Fatal("it never caught up")
	}
	appendAll(t, log, "hall", joins(3, 4)...)
	if err := <-followed; !errors.Is(err, done) {
		t.Errorf("followed until %v", err)
	}
}
