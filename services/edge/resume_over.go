package edge

import (
	"slices"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// A speaker that comes back may speak of tracks that have ended: it, or a moderator, ended them on an edge that was lost with the last
// acks. It cannot send what is missing any more, but it is told how much there is, as soon as the track is closed.

// overSince gives the tracks of which a session speaks that have ended. They are settled like any other. The caller holds mu.
func (h *hub) overSince(s *session, resumed bool, said []resumeTrack) (over []*track) {
	if !resumed {
		return nil
	}
	for _, r := range said {
		known := h.state.Tracks[r.Track]
		if known == nil || !known.Ended || known.Session != s.id || r.Acked < -1 || r.Acked > frame.MaxSeq || len(over) == room.MaxTracks ||
			slices.ContainsFunc(over, func(t *track) bool { return t.id == r.Track }) {
			continue
		}
		t := h.waiting(s, r.Track)
		if t == nil {
			t = overTrack(s, known, r)
			t.kept = h.state.Settings.Keep != room.KeepNone
			h.leased[t] = struct{}{}
		}
		t.owes(!known.EndKnown || known.EndEpoch != r.Epoch)
		over = append(over, t)
	}
	return over
}

// waiting gives a track of a session that is on its way to be settled. The caller holds mu.
func (h *hub) waiting(s *session, id string) *track {
	for t := range h.leased {
		if t.id == id && t.session == s {
			return t
		}
	}
	return nil
}

// overTrack is a track of the past, as far as its speaker saw it acked.
func overTrack(s *session, known *room.Track, said resumeTrack) *track {
	t := newTrack(s, room.TrackInfo{Track: known.Track, Handle: known.Handle, Name: known.Name, FrameMS: known.FrameMS, Epoch: known.Epoch})
	t.recall(said.Epoch, said.Acked)
	for _, gap := range known.Gaps {
		if gap.Through == 0 { // what is found missing at the end is what its speaker is to be told of
			t.declare(gap.Epoch, gap.From, gap.To)
		}
	}
	t.expect(known)
	t.ended = true
	return t
}

// tellOver says again how far tracks of the past are acked; that was perhaps lost with a socket.
func (h *hub) tellOver(over []*track) {
	for _, t := range over {
		t.tellAcks()
	}
}

func idsOf(tracks []*track) (ids []string) {
	for _, t := range tracks {
		ids = append(ids, t.id)
	}
	return ids
}
