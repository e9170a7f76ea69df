package edge

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/auth"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

// session is one participant's stay in a room, as the edge that has its socket knows it. It outlives its sockets.
type session struct {
	edge     *Edge
	hub      *hub
	id       string
	identity string
	name     string
	resume   string            // the secret
	cause    trace.SpanContext // of the join: packs are linked to it

	seated    bool          // the fold has shown it on this edge; guarded by hub.mu
	movedHere bool          // from another edge, and its tracks have been taken up; guarded by hub.mu
	taken     chan struct{} // closed when it has been taken over from another edge; nil where it began here

	allowed atomic.Pointer[allowance] // what it may do; see grant.go

	mu     sync.Mutex // guards all below
	conns  []*conn    // one, or two while it moves; the newest last
	tracks map[uint32]*track
	claims auth.Claims
	warned bool // that the token is about to end
	unkept bool // it was told that the log is away, and not yet that it is back
	over   bool
	why    *refusal    // with over: what a socket is told that comes too late
	lost   *time.Timer // runs while there is no socket

	requests requests
}

// send gives a message to the newest socket; without one it is lost, and said again after the resume.
func (s *session) send(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.conns); n > 0 {
		s.conns[n-1].send(frame)
	}
}

// attach makes c the session's newest socket, unless the session is over.
func (s *session) attach(c *conn) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.why
	}
	if s.lost != nil {
		s.lost.Stop()
		s.lost = nil
	}
	s.conns = append(s.conns, c)
	for len(s.conns) > 2 { // a third socket is no move: the oldest goes
		s.conns[0].close(closeReplaced, "too many sockets")
		s.conns = s.conns[1:]
	}
	return nil
}

// detach takes a socket out. Without one the session is away after three seconds.
func (s *session) detach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.conns, c); i >= 0 {
		s.conns = slices.Delete(s.conns, i, i+1)
	}
	if len(s.conns) > 0 || s.over || s.lost != nil {
		return
	}
	s.lost = time.AfterFunc(s.edge.limits.away, func() {
		s.edge.until(s.hub, "away", func(state *room.State) (room.Draft, error) {
			if s.attached() {
				return room.Draft{}, room.ErrNothingToDo
			}
			return state.Lose(s.id, s.edge.id, room.SocketLost)
		})
	})
}

func (s *session) attached() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0 || s.over
}

func (s *session) hasSocket() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0 && !s.over
}

// end ends the session on this edge: its sockets are closed with the reason, its tracks stop, the edge forgets it. What
// the log says of it is not its business. It waits for nothing; hub.mu is held by the caller.
func (s *session) end(code int, name, words string) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return
	}
	s.over, s.why = true, refuse(name, code, "%s", words)
	if name == "" {
		s.why = refuse("log_away", closeOverload, "this session has just ended here: try again")
	}
	if s.lost != nil {
		s.lost.Stop()
	}
	conns, tracks := s.conns, s.tracks
	s.conns, s.tracks = nil, map[uint32]*track{}
	s.mu.Unlock()
	for _, c := range conns {
		if name != "" {
			c.send(text(errorMessage{Type: "error", Code: name, Message: words, Fatal: true}))
		}
		c.close(code, words)
	}
	delete(s.hub.sessions, s.id)
	s.edge.metrics.sessions.Add(-1)
	s.edge.background(func(context.Context) { // takes the edge's lock, which must not wait for the hub's
		for _, t := range tracks {
			t.end()
			s.edge.dropTrack(t)
		}
		s.edge.releaseHub(s.hub)
	})
}

func (s *session) trackByHandle(handle uint32) *track {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tracks[handle]
}

func (s *session) trackByID(id string) *track {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

// addTrack takes a track in, unless the session is over. Whether its frames are kept is looked up while no change of it
// can pass unseen.
func (s *session) addTrack(t *track) bool {
	s.edge.mu.Lock()
	s.edge.tracks[t] = struct{}{}
	s.edge.mu.Unlock()
	s.hub.mu.Lock()
	t.setKept(s.hub.state.Settings.Keep != room.KeepNone)
	s.mu.Lock()
	over := s.over
	if !over {
		s.tracks[t.handle] = t
		s.hub.leased[t] = struct{}{}
	}
	s.mu.Unlock()
	s.hub.mu.Unlock()
	if over {
		s.edge.dropTrack(t)
		return false
	}
	s.hub.renewSoon(false) // before its first pack is stored
	return true
}

// setKept follows the room's setting whether its sound is kept.
func (s *session) setKept(kept bool) {
	s.mu.Lock()
	tracks := slices.Collect(maps.Values(s.tracks))
	s.mu.Unlock()
	for _, t := range tracks {
		t.setKept(kept)
	}
}

func (s *session) removeTrack(t *track) {
	s.mu.Lock()
	delete(s.tracks, t.handle)
	s.mu.Unlock()
	s.edge.dropTrack(t)
}

func (e *Edge) dropTrack(t *track) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.tracks, t)
}

// ownTracks lists the session's tracks for the welcome after a resume.
func (s *session) ownTracks() []ownTrack {
	s.mu.Lock()
	tracks := slices.Collect(maps.Values(s.tracks))
	s.mu.Unlock()
	own := []ownTrack{}
	for _, t := range tracks {
		epoch, acked := t.ackedNow()
		o := ownTrack{Track: t.id, Handle: t.handle, Name: t.name, Epoch: epoch, Acked: acked}
		s.hub.mu.Lock()
		if known := s.hub.state.Tracks[t.id]; known != nil {
			o.Muted = known.Muted
		}
		s.hub.mu.Unlock()
		own = append(own, o)
	}
	slices.SortFunc(own, func(a, b ownTrack) int { return int(int64(a.Handle) - int64(b.Handle)) })
	return own
}

// checkToken runs once a second: a notice before the token ends, the end a while after it.
func (s *session) checkToken(now time.Time) {
	s.mu.Lock()
	expires, warn := s.claims.Expires, false
	if !s.warned && len(s.conns) > 0 && now.After(expires.Add(-s.edge.limits.notice)) {
		s.warned, warn = true, true
	}
	s.mu.Unlock()
	if warn {
		s.send(text(tokenMessage{Type: "token", Expires: expires.Unix()}))
	}
	if now.After(expires.Add(s.edge.limits.grace)) {
		s.hub.mu.Lock()
		s.end(closeCodeOf(room.Expired))
		s.hub.mu.Unlock()
		s.edge.leave(s.hub, s.id, room.Expired)
	}
}

// tracePack begins and ends the span of one pack in five seconds and gives its context for the log.
func (s *session) tracePack(t *track, epoch uint8, first, last uint32) string {
	ctx, span := tracer.Start(context.Background(), "edge.pack",
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithLinks(trace.Link{SpanContext: s.cause}),
		trace.WithAttributes(
			attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", "log.{region}.{shard}.{room}.{track}"),
			attribute.String("airloom.room", s.hub.name), attribute.String("airloom.session", s.id), attribute.String("airloom.track", t.id),
			attribute.Int("airloom.epoch", int(epoch)), attribute.Int64("airloom.seq.first", int64(first)), attribute.Int64("airloom.seq.last", int64(last)),
		))
	defer span.End()
	return telemetry.Traceparent(ctx)
}

func isAway(err error) bool { return errors.Is(err, eventlog.ErrAway) }

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
