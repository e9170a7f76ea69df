package edge

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/frame"
	"airloom/internal/name"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

var frameDurations = []float64{2.5, 5, 10, 20, 40, 60}

// startTrack appends track.started and gives the track. The log refuses a handle that the room has had; then another
// one is drawn.
func (s *session) startTrack(ctx context.Context, r trackStartRequest) (*track, error) {
	switch {
	case r.Name == "" || !validTrackName(r.Name):
		return nil, refuse("bad_track", 0, "a track's name has 1 to 64 bytes and no control characters")
	case r.Channels != 1 && r.Channels != 2:
		return nil, refuse("bad_track", 0, "a track has 1 or 2 channels, not %d", r.Channels)
	case !slices.Contains(frameDurations, r.FrameMS):
		return nil, refuse("bad_track", 0, "frame_ms is %g: use one of %v", r.FrameMS, frameDurations)
	case !s.allowed.Load().speaks:
		return nil, refuse("forbidden", 0, "you may not speak in this room: your token, a moderator or the room's settings do not allow it")
	}
	ctx, span := tracer.Start(ctx, "edge.track.start", trace.WithLinks(trace.Link{SpanContext: s.cause}),
		trace.WithAttributes(attribute.String("airloom.room", s.hub.name), attribute.String("airloom.session", s.id)))
	defer span.End()
	fact := room.TrackStarted{
		Session: s.id, Name: r.Name, Label: name.Clean(r.Label), Channels: r.Channels, FrameMS: r.FrameMS,
		Epoch: r.Epoch, Clock: r.Clock,
	}
	err := s.hub.decide(ctx, telemetry.Traceparent(ctx), func(state *room.State) (room.Draft, error) {
		fact.Handle = newHandle()
		fact.Track = frame.TrackID(fact.Handle)
		return state.StartTrack(fact)
	})
	if err != nil {
		return nil, fmt.Errorf("start track: %w", err)
	}
	info := room.TrackInfo{Track: fact.Track, Handle: fact.Handle, Name: fact.Name, FrameMS: fact.FrameMS, Epoch: fact.Epoch}
	t := newTrack(s, info)
	if !s.addTrack(t) {
		return nil, room.ErrUnknownSession
	}
	s.recheck()
	if s.edge.outbox.isAway() && s.hub.info().Keep != room.KeepNone {
		s.tellLog(true)
		if !s.edge.outbox.isAway() { // it came back while this was said
			s.tellLog(false)
		}
	}
	return t, nil
}

// endStray ends a track that the edge which had the session before was still appending when the session had moved here: its speaker
// was not told of it, and has asked here again.
func (h *hub) endStray(track string) {
	h.edge.until(h, "track.ended", func(state *room.State) (room.Draft, error) {
		return state.EndTrack(room.TrackEnded{Track: track, Last: -1})
	})
}

func (s *session) mute(ctx context.Context, id string, muted bool) error {
	if s.trackByID(id) == nil {
		return room.ErrUnknownTrack
	}
	return s.hub.decide(ctx, "", func(state *room.State) (room.Draft, error) { return state.Mute(id, muted) })
}

// gap records that the speaker no longer has some frames.
func (s *session) gap(ctx context.Context, r gapRequest) error {
	t := s.trackByID(r.Track)
	if t == nil {
		return room.ErrUnknownTrack
	}
	if r.To < r.From {
		return refuse("bad_seq", 0, "gap from %d to %d", r.From, r.To)
	}
	if s.hub.info().Keep == room.KeepNone {
		return nil // nothing is kept: nothing is missing
	}
	if !t.mayDeclare() {
		return refuse("rate", closePolicy, "too many gaps in this track")
	}
	fact := room.GapDeclared{Track: r.Track, Epoch: r.Epoch, From: r.From, To: r.To, Reason: room.PublisherDropped}
	err := s.hub.decide(ctx, "", func(state *room.State) (room.Draft, error) { return state.DeclareGap(fact) })
	if err != nil && !errors.Is(err, room.ErrNothingToDo) { // declared already, perhaps on another edge: here it counts too
		return err
	}
	t.declare(r.Epoch, r.From, r.To)
	return nil
}

// endTrack waits until all up to last is in the log, then appends track.ended. A speaker need not wait for a log that is
// away: then the rest follows in the background, and what has to be sent again is still taken as backlog. So it does for a speaker that is
// away itself, and for one whose acks still move: they have yet to send the rest.
func (s *session) endTrack(ctx context.Context, r trackEndRequest) error {
	t := s.trackByID(r.Track)
	if t == nil {
		return room.ErrUnknownTrack
	}
	if r.Last < -1 || r.Last > frame.MaxSeq {
		return refuse("bad_seq", 0, "last is %d", r.Last)
	}
	waiting, cancel := context.WithTimeout(ctx, s.edge.limits.end)
	defer cancel()
	before := t.ackedOf(r.Epoch)
	done := t.await(waiting, r.Epoch, r.Last, s.edge.outbox.wentAway()) ||
		!s.edge.outbox.isAway() && s.hasSocket() && t.ackedOf(r.Epoch) == before
	switch {
	case s.isOver():
		return errElsewhere
	case done:
		s.finishTrack(ctx, t, r)
		return nil
	}
	if t.quiet() { // who asks again is told the same, and nothing more waits for it
		s.edge.background(func(ctx context.Context) { s.endLater(ctx, t, r) })
	}
	return nil
}

// endLater ends a track whose speaker does not wait for it.
func (s *session) endLater(ctx context.Context, t *track, r trackEndRequest) {
	if t.awaitLog(ctx, r.Epoch, r.Last); !s.isOver() {
		s.finishTrack(ctx, t, r)
	}
}

// errElsewhere says that the session has moved on with its tracks: to end one here would close it while its speaker sends there what is not acked
// yet. What was asked here is asked there again.
var errElsewhere = errors.New("the session is on another edge")

// finishTrack says in the log how a track ended, and forgets it.
func (s *session) finishTrack(ctx context.Context, t *track, r trackEndRequest) {
	t.end()
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	fact := room.TrackEnded{Track: r.Track, Epoch: r.Epoch, Last: r.Last}
	decide := func(state *room.State) (room.Draft, error) { return state.EndTrack(fact) }
	err := s.hub.decide(ctx, "", decide)
	if err != nil && !errors.Is(err, room.ErrNothingToDo) && !errors.Is(err, room.ErrUnknownTrack) {
		s.edge.until(s.hub, "track.ended", decide)
	}
	s.removeTrack(t)
}

// endTracks stops all tracks; their open packs go to the log.
func (s *session) endTracks() {
	s.mu.Lock()
	tracks := slices.Collect(maps.Values(s.tracks))
	s.mu.Unlock()
	for _, t := range tracks { // a track tells its session about acks: its lock comes before the session's
		t.end()
	}
}
