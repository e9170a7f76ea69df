package bus

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What a survey sees of a stream with holes: where it begins, how much there is, and what its leader says of it.
func TestSurveySeesWhatThereIs(t *testing.T) {
	c := newCluster(t, 3)
	b := c.startAll()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	js := b.JetStream()
	holed := makeHoles(ctx, t, js) // 3, 6, 7
	seen, err := Survey(ctx, js, "LOG_h", []byte(`{"seq":1,"next_by_subj":"log.h.>","batch":1}`))
	if err != nil || len(seen) != countings {
		t.Fatalf("saw %v, %v", seen, err)
	}
	for _, s := range seen {
		if s.Position != 3 || s.Count != 3 || s.At.IsZero() {
			t.Errorf("saw %+v", s)
		}
	}
	for span, want := range map[Span]uint64{{1, 7}: 3, {4, 6}: 1, {3, 5}: 1, {8, 9}: 0} {
		if n, err := Count(ctx, js, "LOG_h", "log.h.>", span.From-1, span.To); n != want || err != nil {
			t.Errorf("%v: %d, %v, want %d", span, n, err, want)
		}
	}
	if n, err := Count(ctx, js, "LOG_h", "log.h.>", 3, math.MaxInt64-1); n != 2 || err != nil {
		t.Errorf("up to the head: %d, %v", n, err)
	}
	if seen, err := Survey(ctx, js, "LOG_h", []byte(`{"last_by_subj":"log.h.>"}`)); err != nil || seen[0].Position != 7 {
		t.Errorf("the newest is %v, %v", seen, err)
	}
	if _, err := Survey(ctx, js, "LOG_none", []byte(`{"seq":1}`)); !errors.Is(err, ErrNoReplica) {
		t.Errorf("no such stream: %v", err)
	}

	leader := holed.CachedInfo().Cluster.Leader
	waitFor(ctx, t, "what nobody has is lost", func() bool {
		s, err := Standing(ctx, js, "LOG_h", "log.h.1.a.x")
		return err == nil && s == Stand{Count: 3, Last: 7, Current: true}
	})
	away := 0
	for i := range c.opts {
		if name := c.opts[i].ServerName; name != b.Conn().ConnectedServerName() && name != leader {
			away = i
		}
	}
	whole, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "LOG_w", Subjects: []string{"log.w.>"}, Replicas: 3, AllowDirect: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, "log.w.1.a.x", []byte("sound")); err != nil {
		t.Fatal(err)
	}
	c.running[away].Shutdown()
	c.running[away].WaitForShutdown()
	waitFor(ctx, t, "it is known to be away", func() bool { return !complete(ctx, js, "LOG_h") && !complete(ctx, js, whole.CachedInfo().Config.Name) })
	waitFor(ctx, t, "one that is away may have what the others lack", func() bool {
		s, err := Standing(ctx, js, "LOG_h", "log.h.>")
		return err == nil && s == Stand{Count: 3, Last: 7}
	})
	waitFor(ctx, t, "nobody has more than a leader that lacks nothing", func() bool {
		s, err := Standing(ctx, js, "LOG_w", "log.w.>")
		return err == nil && s.Count == 1 && s.Whole
	})
}
