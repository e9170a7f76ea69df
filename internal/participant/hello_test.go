package participant

import (
	"context"
	"sync"
	"testing"
	"time"

	"airloom/internal/outgoing"
)

// Saying hello on the next socket while End waits for its acks on the old one: neither waits for the other.
func TestHelloWhileATrackEnds(t *testing.T) {
	p := newParticipant(Config{}, nil)
	defer p.cancel()
	p.resume = "secret"
	s := &Speaker{p: p, changed: make(chan struct{}), out: outgoing.New(1, 0, 8, 10, false, time.Now())}
	p.speakers = []*Speaker{s}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan struct{})
	go func() {
		var both sync.WaitGroup
		both.Go(func() {
			for range 20_000 {
				_ = s.wait(ended, func() bool { return !p.keeps() }) // as End does
			}
		})
		both.Go(func() {
			for range 20_000 {
				p.hello()
			}
		})
		both.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("hello and End wait for each other")
	}
}
