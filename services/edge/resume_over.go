package edge

import (
	"context"
	"math"
	"slices"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// A speaker that comes back may speak of tracks that have ended: it, or a moderator, ended them on an edge that was lost with the last
// acks. It cannot send what is missing any more, but it is told how much there is, as soon as the track is closed.

// overSince lists the tracks of which a session speaks that have ended, and has each looked for. The caller holds mu.
func (h *hub) overSince(s *session, resumed bool, said []resumeTrack) (over []string) {
	for _, r := range said {
		known := h.state.Tracks[r.Track]
		if !resumed || known == nil || !known.Ended || known.Session != s.id || slices.Contains(over, r.Track) || len(over) == room.MaxTracks ||
			r.Acked < -1 || r.Acked > frame.MaxSeq {
			continue
		}
		over = append(over, r.Track)
		if h.state.Settings.Keep != room.KeepNone {
			h.edge.background(func(ctx context.Context) { h.settleOver(ctx, s, r) })
		}
	}
	return over
}

// overTrack is a track of the past, as far as its speaker saw it acked. The caller holds hub.mu.
func overTrack(s *session, known *room.Track, said resumeTrack) *track {
	t := newTrack(s, room.TrackInfo{Track: known.Track, Handle: known.Handle, Name: known.Name, FrameMS: known.FrameMS, Epoch: known.Epoch})
	t.kept, t.ended = true, true
	t.recall(said.Epoch, said.Acked)
	for _, gap := range known.Gaps {
		if gap.Through == 0 { // what is found missing at the end is what its speaker is to be told of
			t.declare(gap.Epoch, gap.From, gap.To)
		}
	}
	t.expect(known)
	return t
}

// settleOver waits until a track is closed, where that is to be, and settles it.
func (h *hub) settleOver(ctx context.Context, session *session, said resumeTrack) {
	ctx, cancel := context.WithTimeout(ctx, overWithin)
	defer cancel()
	h.use()
	defer h.edge.releaseHub(h)
	var t *track
	var s settling
	for t == nil || !t.whole() {
		h.mu.Lock() // the welcome comes first
		known, moved := h.state.Tracks[said.Track], h.moved
		if known == nil || session.isOver() {
			h.mu.Unlock()
			return
		}
		if t == nil {
			t = overTrack(session, known, said)
			s.track, s.ended = t, known.EndedAt
		}
		closed, recorded := known.Closed, h.state.Settings.Keep == room.KeepRecord || h.state.Recording != ""
		h.mu.Unlock()
		if !closed && !recorded { // no recorder closes it: what the log has is kept
			s.through = math.MaxUint64
			break
		}
		if closed {
			var err error
			if s.through, err = h.throughOf(ctx, t.id); err == nil {
				break
			}
			if pause(ctx, settlePause) != nil {
				return
			}
			continue
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
	h.edge.settle(ctx, s)
}

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}
