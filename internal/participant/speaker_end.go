package participant

import (
	"context"
	"fmt"
	"slices"

	"airloom/internal/room"
)

// End waits until every frame is sent, ends the track, and waits until all is acked or ctx ends. A room that keeps
// nothing acks nothing: there it does not wait. A *NotKeptError says that some frames are missing for good. When ctx ends first, what is
// not acked is still sent again while the participant is in the room, and End may be called once more to wait for it.
func (s *Speaker) End(ctx context.Context) error {
	s.mu.Lock()
	s.out.End()
	s.inEnd++
	s.mu.Unlock()
	defer s.gaveUp()
	s.p.kick()
	if err := s.wait(ctx, func() bool { return s.out.SentAll() }); err != nil {
		return fmt.Errorf("send the last frames: %w", err)
	}
	s.mu.Lock()
	last := s.out.Next() - 1
	s.endAsked = true
	s.mu.Unlock()
	end := trackEnd{Type: "track.end", Track: s.id, Epoch: s.epoch, Last: last}
	s.p.ended(end)
	_, err := s.p.request(ctx, func(id int64) any { end.ID = id; return end })
	if err != nil && !(IsCode(err, "unknown_track") && s.isOver(last)) {
		return fmt.Errorf("end track: %w", err)
	}
	if err := s.wait(ctx, func() bool { return s.out.Acked() == last || !s.p.keeps() }); err != nil {
		return fmt.Errorf("wait for the last acks (%d of %d frames are acked): %w", s.Stats().Acked+1, last+1, err)
	}
	s.p.drop(s)
	return nil
}

// isOver says that the track ended before, and that nothing is missing or the edge will tell what is.
func (s *Speaker) isOver(last int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over || s.out.Acked() == last || s.err != nil
}

// gaveUp is how End ends: from now on whatever is said of the track may be the last that it waits for.
func (s *Speaker) gaveUp() {
	s.mu.Lock()
	s.inEnd--
	s.mu.Unlock()
	s.letGo()
}

// letGo drops a speaker that failed, or whose end was asked for, for whom nobody waits in End, and that has nothing more to hear. While somebody
// waits it stays: the next edge is told how far it is acked, or it would wait for all of it again before it ends the track.
func (s *Speaker) letGo() {
	keeps := s.p.keeps()
	s.mu.Lock()
	failed := s.err != nil
	done := (s.endAsked || failed) && s.inEnd == 0 && (s.out.Acked() == s.out.Next()-1 || (s.over || failed) && !keeps)
	s.mu.Unlock()
	if done {
		s.p.drop(s)
	}
}

// ended remembers for a while what was said of a track's end: see repeat.
func (p *Participant) ended(end trackEnd) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = slices.DeleteFunc(p.over, func(other trackEnd) bool { return other.Track == end.Track })
	p.over = append(p.over, end)
	p.over = p.over[max(0, len(p.over)-maxOver):]
}

func (p *Participant) drop(s *Speaker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := make([]*Speaker, 0, len(p.speakers))
	for _, other := range p.speakers {
		if other != s {
			rest = append(rest, other)
		}
	}
	p.speakers = rest
}

// named gives the tracks of which a hello speaks, at most as many as an edge takes. Tracks that go on come first: an edge to which one is
// not named would wait for frames that are acked and gone. After them the newest of those that have ended, or failed, and are not acked.
func named(speakers []*Speaker) (tracks []resumedTrack) {
	var ended []resumedTrack
	for _, s := range slices.Backward(speakers) {
		if track, over := s.resumed(); over {
			ended = append(ended, track)
		} else {
			tracks = append(tracks, track)
		}
	}
	tracks = append(tracks, ended...)
	return tracks[:min(len(tracks), room.MaxTracks)]
}

// resumed describes the track to an edge that shall go on with it, or tell how it ended, and says whether its end was asked for or it failed.
func (s *Speaker) resumed() (track resumedTrack, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.word.waits = true
	return resumedTrack{Track: s.id, Epoch: s.epoch, Acked: s.out.Acked()}, s.endAsked || s.err != nil
}
