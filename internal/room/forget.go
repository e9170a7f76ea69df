package room

// maxOver is how many tracks that are over a state keeps. It is for what is still said of them (gaps, their closing), which comes
// within seconds of their end. A track that is forgotten cannot come back: its start expects a subject that never had
// an event, and the log knows better.
const maxOver = 1000

func (s *State) finish(track *Track, e *Event) {
	track.Ended, track.EndedAt = true, e.At
	if !s.KeepOver {
		s.over = append(s.over, track.Track)
	}
}

// trim forgets the tracks that have been over for longest.
func (s *State) trim() {
	for len(s.over) > maxOver {
		s.Forget(s.over[0])
		s.over = s.over[1:]
	}
}

// Forget drops a track that is over, and the positions of its subjects.
func (s *State) Forget(track string) {
	if known := s.Tracks[track]; known != nil && !known.Ended {
		return
	}
	delete(s.Tracks, track)
	delete(s.last, "track."+track)
	delete(s.last, "gap."+track)
}

// Rest makes the state of a room that nobody is in small: tracks that are over are forgotten at once, and the memory that many
// sessions once took is given back. Facts that are folded later mean the same as without it. With KeepOver, or while there is
// a session or an open track, it does nothing.
func (s *State) Rest() {
	if s.KeepOver || len(s.Sessions) > 0 || s.open > 0 {
		return
	}
	last := map[string]uint64{}
	for _, subject := range []string{"room.settings", "recording.current"} {
		if position := s.last[subject]; position != 0 {
			last[subject] = position
		}
	}
	s.Sessions, s.Tracks, s.over, s.last = map[string]*Session{}, map[string]*Track{}, nil, last
	s.byIdentity, s.byResume = map[string]string{}, map[string]string{}
}

// Untouched says that the room is as if nobody had ever been there, but for its position: it has the defaults, and neither a
// session, an open track, a recording, one that is due, nor somebody kept out.
func (s *State) Untouched() bool {
	return s.last["room.settings"] == 0 && s.Recording == "" && s.due.Since == 0 && len(s.Sessions) == 0 && s.open == 0 && len(s.kicked) == 0
}
