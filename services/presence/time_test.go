package presence

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"airloom/internal/room"
)

// Three presences and an edge that is killed at any moment of its second: away within 5 s, left 30 s later, each once. The log
// here is only what it promises: one order, and compare-and-append.
func TestBoundsHoldWheneverAnEdgeIsKilled(t *testing.T) {
	for phase := time.Duration(0); phase < time.Second; phase += 130 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) { killAfter(t, 10*time.Second+phase) })
	}
}

func killAfter(t *testing.T, life time.Duration) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sim := &simulation{t: t, last: map[string]uint64{}, at: map[string]time.Duration{}, zero: time.Now()}
	for i := range 3 {
		s := &Service{cfg: Config{Instance: fmt.Sprintf("p%d", i)}.withDefaults()}
		s.watch = newWatch(s.cfg, defaults)
		sim.all = append(sim.all, s)
	}
	for i := range 20 {
		session := fmt.Sprintf("s%d", i)
		sim.append(room.Draft{Fact: room.Joined{Session: session, Identity: session, Edge: "e1"}})
	}
	edge, kill := context.WithTimeout(ctx, life)
	defer kill()
	go every(edge, time.Second, func() { sim.each(func(w *watch) { w.Heard("e1", time.Now()) }) })
	for _, s := range sim.all {
		go every(ctx, s.cfg.Listen, func() { sim.each(func(w *watch) { w.Listening(time.Now()) }) })
		go every(ctx, s.cfg.Tick, func() {
			s.mu.Lock()
			due := s.watch.Due(time.Now())
			s.mu.Unlock()
			for _, task := range due {
				sim.append(task.draft)
			}
		})
	}
	<-time.After(time.Minute) // of the bubble's clock
	cancel()
	synctest.Wait()
	for i := range 20 {
		session := fmt.Sprintf("s%d", i)
		ghost, gone := sim.at["session.away "+session]-life, sim.at["session.left "+session]-sim.at["session.away "+session]
		if ghost < 0 || ghost > 5*time.Second || gone < 30*time.Second || gone > 33*time.Second {
			t.Errorf("killed after %v: %s was a ghost for %v and away for %v", life, session, ghost, gone)
		}
	}
}

type simulation struct {
	t    *testing.T
	all  []*Service
	zero time.Time

	last     map[string]uint64        // session -> position; used under each's locks
	at       map[string]time.Duration // "type session" -> when
	position uint64
}

func (s *simulation) each(do func(*watch)) {
	for _, one := range s.all {
		one.mu.Lock()
		do(one.watch)
		one.mu.Unlock()
	}
}

func (s *simulation) append(d room.Draft) {
	s.all[0].mu.Lock() // stands for the log's one order
	_, session := d.Fact.Subject()
	if s.last[session] != d.Expect {
		s.all[0].mu.Unlock()
		return
	}
	s.position++
	s.last[session] = s.position
	what := d.Fact.Type() + " " + session
	if _, twice := s.at[what]; twice {
		s.t.Errorf("%s twice", what)
	}
	s.at[what] = time.Since(s.zero)
	e := &room.Event{Room: "hall", At: time.Now(), Fact: d.Fact, Position: s.position}
	s.all[0].watch.Apply(e, time.Now())
	for _, one := range s.all[1:] {
		one.mu.Lock()
		one.watch.Apply(e, time.Now())
		one.mu.Unlock()
	}
	s.all[0].mu.Unlock()
}

func TestFollowingBeginsAnewWhenTheNewsRunsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{cfg: Config{}.withDefaults(), caughtUp: make(chan struct{})}
		s.watch = newWatch(s.cfg, defaults)
		ctx, cancel := context.WithCancelCause(t.Context())
		var mending atomic.Bool
		mending.Store(true)
		go s.watchFold(ctx, cancel, mending.Load)
		s.news.Store(5)
		<-time.After(time.Minute) // history is being read
		if ctx.Err() != nil {
			t.Fatal("gave up reading history")
		}
		close(s.caughtUp)
		<-time.After(time.Minute) // a hole is being filled, which begun anew would never end
		if ctx.Err() != nil {
			t.Fatal("gave up filling a hole")
		}
		mending.Store(false)
		began := time.Now()
		<-ctx.Done()
		if took := time.Since(began); !errors.Is(context.Cause(ctx), errBehind) || took > 2*stale {
			t.Fatalf("%v after %v", context.Cause(ctx), took)
		}
	})
}

// Who was kept out after a kick, by an edge that died then, leaves as kicked again.
func TestWhoIsKeptOutLeavesAsKicked(t *testing.T) {
	w, now := newWatch(quick("p1").withDefaults(), defaults), time.Now()
	for i, f := range []room.Fact{
		room.Joined{Session: "s1", Identity: "ann", Edge: "e"}, room.Left{Session: "s1", Reason: room.Kicked}, room.Joined{Session: "s2", Identity: "ann", Edge: "e"},
	} {
		w.Apply(&room.Event{Room: "hall", At: now, Fact: f, Position: uint64(i + 1)}, now)
	}
	kept := w.rooms["hall"].sessions["s2"]
	if draft, err := w.leave(kept); err != nil || draft.Fact != (room.Left{Session: "s2", Reason: room.Kicked}) {
		t.Errorf("%+v, %v", draft, err)
	}
}
