package bus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

// stocked gives an admin's JetStream with a stream of three messages.
func stocked(t *testing.T) (context.Context, jetstream.JetStream) {
	t.Helper()
	ctx, js, _ := stockedBy(t)
	return ctx, js
}

// stockedBy gives the edge that published, too.
func stockedBy(t *testing.T) (context.Context, jetstream.JetStream, jetstream.JetStream) {
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
	return ctx, js, edge
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

// A replica that skips is not believed; what nobody has is told.
func TestWholeTellsWhatNobodyHas(t *testing.T) {
	ctx, js, edge := stockedBy(t)
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "LOG_h", Subjects: []string{"log.h.>"}, AllowDirect: true}); err != nil {
		t.Fatal(err)
	}
	holes := func(after uint64, count int) (positions []uint64, told []Hole) {
		whole, err := OpenWhole(ctx, js, "LOG_h", after, slog.New(slog.DiscardHandler), func(h Hole) { told = append(told, h) })
		if err != nil {
			t.Fatal(err)
		}
		defer whole.Stop()
		for range count {
			m, err := whole.Next()
			if err != nil {
				t.Fatal(err)
			}
			positions = append(positions, m.Position)
		}
		return positions, told
	}
	for range 6 {
		if _, err := edge.Publish(ctx, "log.h.1.a.x", []byte("sound")); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := js.Stream(ctx, "LOG_h")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []uint64{1, 3, 4} {
		if err := stream.SecureDeleteMsg(ctx, at); err != nil {
			t.Fatal(err)
		}
	}
	positions, told := holes(0, 3)
	if !slices.Equal(positions, []uint64{2, 5, 6}) || len(told) != 2 || !slices.Equal(told[0].Lost, []Span{{1, 1}}) || !slices.Equal(told[1].Lost, []Span{{3, 4}}) {
		t.Errorf("read %v, told %+v", positions, told)
	}
	if positions, told := holes(4, 2); !slices.Equal(positions, []uint64{5, 6}) || len(told) != 0 {
		t.Errorf("read %v, told %+v", positions, told)
	}
}

// Recover reads by the leader's word and by direct reads alike.
func TestRecover(t *testing.T) {
	ctx, js := stocked(t)
	for name, ask := range map[string]func(context.Context, jetstream.JetStream, string, []byte) (*Stored, error){"direct": direct, "leader": OfLeader} {
		m, err := ask(ctx, js, "LOG_r", []byte(`{"seq":2,"next_by_subj":">"}`))
		if err != nil || m == nil || m.Position != 2 || m.Subject != "log.r.1.b.x" || string(m.Data) != m.Subject || m.At.IsZero() || len(m.Header) != 0 {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
		if m, err = ask(ctx, js, "LOG_r", []byte(`{"seq":4,"next_by_subj":">"}`)); m != nil || err != nil {
			t.Errorf("%s behind the end: %+v, %v", name, m, err)
		}
	}
	var got []uint64
	lost, err := Recover(ctx, js, "LOG_r", Span{2, 5}, func(m Stored) bool { got = append(got, m.Position); return true })
	if err != nil || !slices.Equal(got, []uint64{2, 3}) || !slices.Equal(lost, []Span{{4, 5}}) {
		t.Errorf("read %v, lost %v, %v", got, lost, err)
	}
}
