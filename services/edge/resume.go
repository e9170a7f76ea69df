package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"airloom/internal/auth"
	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

// resume gives the session that the secret belongs to, moved to this edge when it was on another one; nil when there is
// none (then the hello begins a new session, and nothing of the other one is told).
func (e *Edge) resume(ctx context.Context, h *hub, r *helloRequest, claims auth.Claims) (*session, error) {
	h.mu.Lock()
	known := h.state.Resumable(hashOf(r.Resume))
	if known != nil && known.Identity != claims.Identity {
		known = nil // somebody else's secret
	}
	if known == nil {
		h.mu.Unlock()
		return nil, nil
	}
	local := h.sessions[known.Session]
	fresh := local == nil
	if fresh {
		local = &session{
			edge: e, hub: h, id: known.Session, identity: known.Identity, name: known.Name, resume: r.Resume,
			cause: trace.SpanContextFromContext(ctx), claims: claims, tracks: map[uint32]*track{}, taken: make(chan struct{}),
		}
		h.keep(local)
	}
	h.mu.Unlock()
	if fresh {
		return local, e.takeOver(ctx, local, r.Tracks)
	}
	e.releaseHub(h) // the session counts as its user already
	return local, e.reattach(ctx, local, r.Tracks, claims)
}

// takeOver moves a session from another edge to this one, with its open tracks.
func (e *Edge) takeOver(ctx context.Context, s *session, said []resumeTrack) error {
	defer close(s.taken)
	if err := s.moveHere(ctx); err != nil {
		s.hub.discard(s)
		return err
	}
	s.restoreTracks(said)
	s.follow(s.claims)
	return nil
}

// reattach is for a session that is on this edge already.
func (e *Edge) reattach(ctx context.Context, s *session, said []resumeTrack, claims auth.Claims) error {
	if s.taken != nil {
		select {
		case <-s.taken:
		case <-ctx.Done():
			return fmt.Errorf("resume in room %s: %w: %w", s.hub.name, eventlog.ErrAway, ctx.Err())
		}
	}
	if err := s.moveHere(ctx); err != nil && !isAway(err) { // on the same edge nothing has to be asked of the log
		return err
	}
	s.trust(said)
	s.follow(claims)
	return nil
}

// trust takes a speaker's word for what it saw acked of tracks that are on this edge already: by another edge, or by one before behind its hello. It
// has let go of that and cannot send it again; an edge that waited for it would ack nothing any more.
func (s *session) trust(said []resumeTrack) {
	for _, r := range said {
		if t := s.trackByID(r.Track); t != nil && r.Acked >= 0 && r.Acked <= frame.MaxSeq {
			t.declare(r.Epoch, 0, uint32(r.Acked))
		}
	}
}

func (s *session) moveHere(ctx context.Context) error {
	err := s.hub.decide(ctx, telemetry.Traceparent(ctx), func(state *room.State) (room.Draft, error) { return state.Move(s.id, s.edge.id) })
	if err != nil && !errors.Is(err, room.ErrNothingToDo) {
		return fmt.Errorf("resume in room %s: %w", s.hub.name, err)
	}
	return nil
}

// restoreTracks takes up the open tracks of a session that was on another edge: from where its speaker saw them acked, and
// with the gaps that are declared.
func (s *session) restoreTracks(said []resumeTrack) {
	s.hub.mu.Lock()
	s.movedHere = true
	p, _ := s.hub.state.Participant(s.id)
	gaps := map[string][]room.GapDeclared{}
	for _, info := range p.Tracks {
		gaps[info.Track] = slices.Clone(s.hub.state.Tracks[info.Track].Gaps)
	}
	s.hub.mu.Unlock()
	for _, info := range p.Tracks {
		t := newTrack(s, info)
		t.next = -1 // it was another edge that heard it live
		for _, r := range said {
			if r.Track == info.Track && r.Acked >= -1 && r.Acked <= frame.MaxSeq {
				t.recall(r.Epoch, r.Acked)
			}
		}
		for _, gap := range gaps[info.Track] {
			t.declare(gap.Epoch, gap.From, gap.To)
		}
		s.addTrack(t)
	}
}
