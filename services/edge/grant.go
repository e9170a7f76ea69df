package edge

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"airloom/internal/auth"
	"airloom/internal/room"
)

// lateFrames is how long after a session lost the right to speak its frames are dropped without counting against it: those on
// their way, and those its participant sends until it has understood.
const lateFrames = 10 * time.Second

// allowance is what a session may do now: what the log says, less what its newest token has given up. It is replaced whole,
// under hub.mu; the path of a frame reads it without a lock.
type allowance struct {
	room.Grants
	speaks bool        // it has the right, and the room's settings let it
	since  int64       // monotonic ns when it lost that; 0: it has not, or never had it
	told   atomic.Bool // that its frames are dropped
}

// grants are the rights that hold now.
func (s *session) grants() room.Grants { return s.allowed.Load().Grants }

func (s *session) token() room.Grants {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims.Grants.Grants
}

// allow brings what a session may do up to the fold and to its token, tells it what has changed and by whom, and ends what it may
// not go on with. The caller holds mu; nothing here waits.
func (h *hub) allow(s *session, by string) {
	grants, present := h.state.Rights(s.id, s.token())
	if !present {
		grants = s.token() // its joining is under way
	}
	now, was := &allowance{Grants: grants, speaks: h.state.Settings.MaySpeak(grants)}, s.allowed.Load()
	switch {
	case was == nil: // the welcome tells
		s.allowed.Store(now)
		return
	case was.speaks && !now.speaks:
		now.since = nanotime()
	case !now.speaks:
		now.since = was.since
	}
	if was.Grants != now.Grants || was.speaks != now.speaks {
		s.allowed.Store(now)
	}
	if was.Grants != now.Grants {
		s.send(text(grantsMessage{Type: "grants", Grants: grants, By: by}))
	}
	if !now.Listen && was.Listen {
		h.edge.background(func(context.Context) { h.deafen(s) })
	}
	if !now.speaks && s.speaks() {
		h.edge.background(s.silence)
	}
}

// allowAll is allow for all sessions of the room on this edge: who may speak is a setting, too. The caller holds mu.
func (h *hub) allowAll() {
	for _, s := range h.sessions {
		h.allow(s, "")
	}
}

// deafen stops the flow of packets to a session, unless it may listen again by now.
func (h *hub) deafen(s *session) {
	s.mu.Lock()
	conns := slices.Clone(s.conns)
	s.mu.Unlock()
	for _, c := range conns {
		if !s.grants().Listen {
			h.listen(c, false)
		}
	}
}

// keepDeaf is called when a socket has begun to listen: the right may have been taken meanwhile.
func (s *session) keepDeaf(c *conn) {
	if !s.grants().Listen {
		s.hub.listen(c, false)
	}
}

// silence ends the tracks of a session that may no longer speak, each where its newest frame was taken.
func (s *session) silence(ctx context.Context) {
	s.mu.Lock()
	tracks := slices.Collect(maps.Values(s.tracks))
	s.mu.Unlock()
	for _, t := range tracks {
		t.end() // first, so that the last seq is the last one
	}
	for _, t := range tracks {
		t.owes(t.isNewHere())
		epoch, last := t.taken()
		s.finishTrack(ctx, t, trackEndRequest{Track: t.id, Epoch: epoch, Last: last})
	}
}

// taken is the newest epoch and the highest seq of it that was taken from the speaker, -1 for none.
func (t *track) taken() (epoch uint8, last int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch, t.epochs[t.epoch].received.Last()
}

// isNewHere says that the track came from another edge, and that nothing live was heard of it here: that edge may have logged more than its speaker knows.
func (t *track) isNewHere() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next < 0
}

// recheck is allow after something was begun that a change of rights may have overtaken.
func (s *session) recheck() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.allow(s, "")
}

// follow takes up a newer token: what it carries no longer is lost at once, log or no log, and the log is told.
func (s *session) follow(claims auth.Claims) {
	s.mu.Lock()
	s.claims, s.warned = claims, false
	s.mu.Unlock()
	narrow := func(state *room.State) (room.Draft, error) { return state.Narrow(s.id, s.token()) }
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.allow(s, room.ByToken)
	if _, err := narrow(s.hub.state); err == nil {
		s.hub.edge.until(s.hub, "session.granted", narrow)
	}
}

// listens refuses a hello that wants to listen with a token that does not let it. In a session that goes on, the room's word
// counts instead.
func (r *helloRequest) listens(claims auth.Claims) error {
	if r.Listen && !claims.Grants.Listen {
		return refuse("forbidden", closeForbidden, "this token does not allow listening")
	}
	return nil
}

// unheard answers a frame of a session that may not speak.
func (s *socket) unheard(session *session) {
	may := session.allowed.Load()
	if may.since == 0 || nanotime()-may.since > int64(lateFrames) {
		s.strike(strike("forbidden", "you may not speak in this room"), closeForbidden, 0)
		return
	}
	s.edge.metrics.drop("forbidden")
	if !may.told.Swap(true) {
		s.fail(refuse("forbidden", 0, "you may not speak in this room any more: your frames are dropped"), 0)
	}
}

type grantsMessage struct {
	Type   string      `json:"type"`
	Grants room.Grants `json:"grants"`
	By     string      `json:"by,omitempty"`
}
