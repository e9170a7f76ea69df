package edge

import (
	"context"
	"math/rand/v2"
	"time"
)

// tick drives what waits for time: packs every 20 ms, the rest every second.
func (e *Edge) tick(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for second := 0; ; second++ {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := nanotime()
		e.tickTracks(now)
		if second%50 == 0 {
			e.everySecond(now)
		}
	}
}

func (e *Edge) tickTracks(now int64) {
	e.mu.Lock()
	tracks := make([]*track, 0, len(e.tracks))
	for t := range e.tracks {
		tracks = append(tracks, t)
	}
	e.mu.Unlock()
	for _, t := range tracks {
		t.tick(now)
	}
}

func (e *Edge) everySecond(now int64) {
	e.watchNATS(now)
	e.sweep(now)
	for _, h := range e.openHubs() {
		h.hush(now)
		for _, s := range h.sessionsNow() {
			s.checkToken(time.Now())
		}
	}
	for _, s := range e.socketsNow() {
		s.keepAlive(now)
	}
}

func (h *hub) sessionsNow() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	sessions := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		sessions = append(sessions, s)
	}
	return sessions
}

func (e *Edge) socketsNow() []*socket {
	e.mu.Lock()
	defer e.mu.Unlock()
	sockets := make([]*socket, 0, len(e.sockets))
	for s := range e.sockets {
		sockets = append(sockets, s)
	}
	return sockets
}

// drain refuses the new, tells every socket to move, spread over the drain time with speakers first, and brings what
// is packed into the log.
func (e *Edge) drain(ctx context.Context) {
	e.draining.Store(true)
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Drain+10*time.Second)
	defer cancel()
	e.logger.Info("draining", "sockets", len(e.socketsNow()), "within", e.cfg.Drain)
	e.moveAll()
	e.waitUntil(ctx, e.cfg.Drain, func() bool { return len(e.socketsNow()) == 0 })
	for _, s := range e.socketsNow() {
		s.conn.close(closeRestart, "this edge is going away: come back at once")
	}
	e.tickTracks(nanotime() + int64(packEvery)) // closes every open pack
	e.waitUntil(ctx, 5*time.Second, e.outbox.empty)
	e.waitUntil(ctx, e.limits.close+time.Second, func() bool { return len(e.socketsNow()) == 0 })
}

func (e *Edge) moveAll() {
	spread := max(0, e.cfg.Drain-5*time.Second)
	for _, s := range e.socketsNow() {
		session := s.session.Load()
		if session == nil {
			continue
		}
		within := time.Duration(0)
		if spread > 0 {
			within = time.Duration(rand.Int64N(int64(spread)))
			if session.speaks() {
				within /= 4
			}
		}
		s.conn.send(text(moveMessage{Type: "move", WithinMS: within.Milliseconds()}))
	}
}

// speaks says whether the session has tracks.
func (s *session) speaks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tracks) > 0
}

// waitUntil polls for what has no signal of its own; it is used while draining only.
func (e *Edge) waitUntil(ctx context.Context, most time.Duration, done func() bool) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
