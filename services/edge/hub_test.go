package edge

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/room"
)

// NATS goes away and comes back, with things done meanwhile by others: rooms are folded anew, nothing is missed.
func TestNATSLostAndBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.connect(bus.Edge)
	d, e := h.edgeOn(b, nil), h.edge(nil)
	watch, w := d.join("hall", "watch", nil)
	gone, g := d.join("hall", "gone", nil)
	if err := b.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	// Whatever of this the first edge does not hear, it finds.
	_, j := e.join("hall", "joined", nil)
	e.decide("hall", func(s *room.State) (room.Draft, error) { return s.Leave(g.Session, room.Timeout) })
	gone.endsWith(1012)
	until(t, "the roster is right", func() bool {
		r := watch.roster()
		_, a := r[w.Session]
		_, b := r[j.Session]
		return len(r) == 2 && a && b
	})
	watch.stays()
}

// An event is missed on the live subject, and nothing follows that would show it: the audit finds it.
func TestAuditFindsAMissedEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(func(e *Edge) { e.limits.audit = 100 * time.Millisecond }), h.edge(nil)
	watch, _ := d.join("hall", "watch", nil)
	out, o := d.join("hall", "out", nil)
	hub := d.hub("hall")
	_ = hub.sub.Unsubscribe()
	_, j := e.join("hall", "joined", nil)
	e.join("hall", "out", nil) // replaces the one on the deaf edge
	hub.mu.Lock()
	deaf := hub.state.Sessions[j.Session] == nil
	hub.mu.Unlock()
	if !deaf {
		t.Fatal("the event was heard")
	}
	until(t, "the roster is right", func() bool { return len(watch.roster()) == 3 })
	out.endsWith(4409)
	until(t, "the replaced one has left", func() bool { return e.state("hall").Sessions[o.Session] == nil })
}

// Folding anew while others join must not end their sessions.
func TestRefoldWhileJoining(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	d.join("hall", "watch", nil)
	hub := d.hub("hall")
	stop := make(chan struct{})
	var folding sync.WaitGroup
	for range 2 {
		folding.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if err := hub.refold(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range 8 {
		p, _ := d.join("hall", fmt.Sprintf("p%d", i), nil)
		p.track()
	}
	close(stop)
	folding.Wait()
	until(t, "the fold is the log's", func() bool {
		hub.mu.Lock()
		defer hub.mu.Unlock()
		return len(hub.state.Roster()) == 9 && hub.state.OpenTracks() == 8
	})
}

// A hub is closed when nobody uses it, and opened again when somebody comes.
func TestHubIsClosedWhenUnused(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.linger = 10 * time.Millisecond })
	for range 2 {
		p, _ := d.join("hall", "a", nil)
		p.must("ok", "leave", nil)
		p.endsWith(1000)
		until(t, "the room is closed here", func() bool { return d.hub("hall") == nil })
	}
	// A hello that is refused leaves nothing behind either.
	d.set("shut", defaults)
	d.decide("shut", func(s *room.State) (room.Draft, error) { return s.Close("") })
	p := d.dial()
	p.refused("room_closed", "hello", helloFields("shut", d.h.token("a", nil), nil))
	until(t, "the room is closed here", func() bool { return d.hub("shut") == nil })
	if n := d.metrics.sessions.Load(); n != 0 {
		t.Errorf("%d sessions are counted", n)
	}
}

// A hello whose socket goes away half way leaves a session that is away, and no goroutine.
func TestHelloThatGoesAway(t *testing.T) {
	d := newHouse(t).edge(func(e *Edge) { e.limits.away = 20 * time.Millisecond })
	for i := range 10 {
		p := d.connect(nil)
		p.request("hello", helloFields("hall", d.h.token(fmt.Sprintf("p%d", i), nil), nil))
		p.c.Close()
	}
	until(t, "all who came are away", func() bool {
		away := 0
		for _, s := range d.state("hall").Sessions {
			if s.Away {
				away++
			}
		}
		return away == 10
	})
}
