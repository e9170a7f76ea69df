package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"airloom/internal/participant"
)

// ear listens to a room within the test, to tell when each frame came.
type ear struct {
	t      *testing.T
	joined *participant.Participant

	mu    sync.Mutex
	heard int
	last  time.Time
	gap   time.Duration // longest time without a frame, from the first frame on
	gapAt time.Time     // when that one ended
	lost  int           // times the socket was lost
}

// hear joins; token "" gets a dev token.
func hear(t *testing.T, url, token, room string) *ear {
	t.Helper()
	e := &ear{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var err error
	e.joined, err = participant.Join(ctx, participant.Config{
		URL: url, Token: token, Room: room, Name: "ear", Listen: true, Hear: e.hear,
		Notice: func(n participant.Notice) {
			if n.Kind == participant.Lost {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.lost++
			}
		},
	})
	if err != nil {
		t.Fatalf("listen to %s at %s: %v", room, url, err)
	}
	t.Cleanup(e.joined.Close)
	return e
}

func (e *ear) hear(_ *participant.Incoming, h participant.Heard) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	if since := now.Sub(e.last); e.heard > 0 && since > e.gap {
		e.gap, e.gapAt = since, now
	}
	e.last = now
	e.heard++
}

func (e *ear) frames() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard
}

// longest is the longest time without a frame in order: where one is missing the receiver waits for it through 64 others.
func (e *ear) longest() (gap time.Duration, lostSockets int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gap, e.lost
}

// missing is what it did not hear of all tracks.
func (e *ear) missing() (n uint64) {
	e.joined.Received(func(r *participant.Receiver) {
		r.Flush()
		for _, t := range r.Tracks() {
			n += t.Missing()
		}
	})
	return n
}

// latest is the longest time from a frame's capture to its arrival.
func (e *ear) latest() (late time.Duration) {
	e.joined.Received(func(r *participant.Receiver) {
		for _, t := range r.Tracks() {
			late = max(late, t.Latency.Max())
		}
	})
	return late
}

func (e *ear) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.joined.Leave(ctx); err != nil {
		e.t.Errorf("leave: %v", err)
	}
}
