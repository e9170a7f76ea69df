package e2e

import (
	"context"
	"sync"
	"testing"
	"time"

	"airloom/internal/participant"
)

// ear listens to a room within the test, to tell when frames came.
type ear struct {
	t      *testing.T
	joined *participant.Participant

	mu   sync.Mutex
	came int           // frames so far
	last time.Time     // when the newest came
	gap  time.Duration // longest time without a frame, from the first one on
	lost int           // times the socket was lost
}

// hear joins; token "" gets a dev token.
func hear(t *testing.T, url, token, room string) *ear {
	t.Helper()
	e := &ear{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var err error
	e.joined, err = participant.Join(ctx, participant.Config{
		URL: url, Token: token, Room: room, Name: "ear", Listen: true,
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
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		e.watch()
	}()
	t.Cleanup(func() {
		e.joined.Close()
		<-watched
	})
	return e
}

// watch notes when frames come, whatever their order: Config.Hear would wait for those that are missing.
func (e *ear) watch() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-e.joined.Done():
			return
		case now := <-tick.C:
			n := 0
			e.joined.Received(func(r *participant.Receiver) {
				for _, t := range r.Tracks() {
					n += int(t.Frames)
				}
			})
			e.note(n, now)
		}
	}
}

func (e *ear) note(n int, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n == e.came {
		return
	}
	if e.came > 0 {
		e.gap = max(e.gap, now.Sub(e.last))
	}
	e.came, e.last = n, now
}

func (e *ear) frames() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.came
}

// longest is the longest time without a frame, to 5 ms.
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
