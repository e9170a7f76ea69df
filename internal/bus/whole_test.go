package bus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A stream of which all is too old has an end that nobody has. Reading goes on behind it, and does not ask for it again and again.
func TestWholePassesOverAnEndThatNobodyHas(t *testing.T) {
	ctx, js, edge := stockedBy(t)
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "LOG_h", Subjects: []string{"log.h.>"}, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	publish := func() {
		if _, err := edge.Publish(ctx, "log.h.1.a.x", []byte("sound")); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	publish()
	if err := stream.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	told := make(chan Hole, 10)
	whole, err := OpenWhole(ctx, js, "LOG_h", 0, slog.New(slog.DiscardHandler), func(h Hole) { told <- h })
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Stop()
	whole.quiet = 100 * time.Millisecond
	read := make(chan error, 1)
	go func() {
		m, err := whole.Next()
		if err == nil && m.Position != 3 {
			err = errors.New("not the one behind the hole")
		}
		read <- err
	}()
	select {
	case h := <-told:
		if !slices.Equal(h.Lost, []Span{{1, 2}}) {
			t.Errorf("told %+v", h)
		}
	case <-ctx.Done():
		t.Fatal("it is not told")
	}
	publish()
	if err := <-read; err != nil {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Errorf("told again: %+v", <-told)
	}
}

// What two replicas lack the third one may have, which is away. Who must not wait for it goes on after its patience; who may wait does
// until it is back, and says so. What is older than the stream's beginning nobody waits for, and what somebody has is in its place.
func TestWholeWaitsForAReplicaThatIsAway(t *testing.T) {
	c := newCluster(t, 3)
	b := c.startAll()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js := b.JetStream()
	holed := makeHoles(ctx, t, js)
	away := 0
	for i := range c.opts { // not the leader, nor the one that the test is connected to
		if name := c.opts[i].ServerName; name != b.Conn().ConnectedServerName() && name != holed.CachedInfo().Cluster.Leader {
			away = i
		}
	}
	c.running[away].Shutdown()
	c.running[away].WaitForShutdown()
	waitFor(ctx, t, "it is known to be away", func() bool { return !complete(ctx, js, "LOG_h") })

	type reading struct {
		positions []uint64
		lost      []Span
		err       error
	}
	var log said
	var waits atomic.Int32
	once := func(patience time.Duration) (r reading) {
		whole, err := OpenWhole(ctx, js, "LOG_h", 0, slog.New(slog.NewTextHandler(&log, nil)), func(h Hole) { r.lost = append(r.lost, h.Lost...) })
		if err != nil {
			return reading{err: err}
		}
		defer whole.Stop()
		whole.Patience = patience
		whole.Waits = func(since time.Time) {
			if !since.IsZero() {
				waits.Add(1)
			}
		}
		for len(r.positions) < 3 && r.err == nil {
			var m Stored
			m, r.err = whole.Next()
			r.positions = append(r.positions, m.Position)
		}
		return r
	}
	read := func(patience time.Duration) (r reading) {
		for r = once(patience); r.err != nil && ctx.Err() == nil; { // its consumer may have been put on the server that is away
			r = once(patience)
		}
		return r
	}
	check := func(who string, r reading) {
		t.Helper()
		if r.err != nil || !slices.Equal(r.positions, []uint64{3, 6, 7}) || !slices.Equal(r.lost, []Span{{1, 2}, {4, 5}}) {
			t.Errorf("%s read %v, lost %v, %v", who, r.positions, r.lost, r.err)
		}
	}
	check("who must go on", read(time.Second))
	waits.Store(0)
	patient := make(chan reading, 1)
	go func() { patient <- read(0) }()
	waitFor(ctx, t, "it waits for longer than the other did", func() bool { return waits.Load() > 4 })
	select {
	case r := <-patient:
		t.Fatalf("it did not wait: %+v", r)
	default:
	}
	c.start(away)
	check("who waits", <-patient)
	if !strings.Contains(log.String(), "trying again") {
		t.Errorf("it says %s", &log)
	}
}

// makeHoles fills a stream of three replicas, which begins at 3 and lacks 4 and 5.
func makeHoles(ctx context.Context, t *testing.T, js jetstream.JetStream) (stream jetstream.Stream) {
	t.Helper()
	waitFor(ctx, t, "the stream is made", func() (made bool) {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var err error
		stream, err = js.CreateStream(short, jetstream.StreamConfig{Name: "LOG_h", Subjects: []string{"log.h.>"}, Replicas: 3, AllowDirect: true})
		return err == nil
	})
	for range 7 {
		if _, err := js.Publish(ctx, "log.h.1.a.x", []byte("sound")); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []uint64{1, 2, 4, 5} {
		if err := stream.DeleteMsg(ctx, at); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(ctx, t, "all replicas are current", func() bool { return complete(ctx, js, "LOG_h") })
	return stream
}

func waitFor(ctx context.Context, t *testing.T, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
