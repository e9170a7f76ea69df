package room

// due is a recording that keep: record wants and that has not been started: a recorder does that, which may be late. Whoever starts one by
// hand meanwhile starts this one, too, or what was said until then would be in none.
type due struct {
	Since uint64 // what began behind this position is held whole; 0: none is due
	Next  uint64 // position that came next in the audio log then, for what had begun before; 0: nobody asked
	Gone  uint64 // where keep was last set to something else; 0: it never was
	Left  bool   // the open recording is of a keep: record that holds no longer: it is stopped, whatever keep is now
}

// unrecorded says that no recording goes on, or but one that is being stopped.
func (s *State) unrecorded() bool { return s.Recording == "" || s.Stopping || s.due.Left }

// noteDue takes an event that is folded; keep is the setting before it, and open the recording.
func (s *State) noteDue(e *Event, keep Keep, open string) {
	switch f := e.Fact.(type) {
	case Created, Changed, Opened:
		switch now := s.Settings.Keep; {
		case now != KeepRecord: // what is due until here a recorder starts all the same, and it ends here
			s.due = due{Gone: e.Position, Left: s.due.Left || s.Recording != "" && s.RecordedBy == ByKeep}
		case keep != now && s.unrecorded() && s.open > 0:
			s.due.Since, s.due.Next = e.Position, LogOf(f)
		}
	case TrackStarted:
		if s.Settings.Keep == KeepRecord && s.unrecorded() && s.due.Since == 0 {
			s.due.Since = max(e.Position, 1) - 1
		}
	case RecordingStarted:
		if open == "" {
			s.begun(e.Position, f)
		}
	case RecordingStopped:
		s.due.Left = s.due.Left && s.Recording != ""
	case Left:
		if len(s.Sessions) == 0 && s.last["room.settings"] == 0 { // by other defaults nothing of its past was due
			s.due.Since = 0
		}
	}
}

// RecordingDue says that keep: record wants a recording that no recorder has started yet.
func (s *State) RecordingDue() bool { return s.due.Since != 0 }

// LeftRecording is the open recording where it is one of a keep: record that holds no longer, so that it is to be stopped whatever keep is now; else "".
func (s *State) LeftRecording() string {
	if !s.due.Left {
		return ""
	}
	return s.Recording
}

// begun takes a recording that begins: the one that is due, or one that was due before keep was something else.
func (s *State) begun(position uint64, f RecordingStarted) {
	since := position
	if f.Since != 0 {
		since = min(since, f.Since)
	}
	s.due.Left = f.By == ByKeep && s.due.Gone > 0 && (s.Settings.Keep != KeepRecord || since < s.due.Gone)
	if !s.due.Left {
		s.due.Since, s.due.Next = 0, 0
	}
}

// widen lets a recording that somebody starts hold what is due.
func (d *due) widen(f RecordingStarted) RecordingStarted {
	switch {
	case d.Since == 0:
		return f
	case f.Since == 0:
		f.Since = d.Since
	default:
		f.Since = min(f.Since, d.Since)
	}
	if d.Next > 0 {
		f.From = min(f.From, d.Next-1)
	}
	return f
}

// LogOf is the position that came next in the audio log when somebody changed a room's settings; 0: nobody asked.
func LogOf(fact Fact) uint64 {
	switch fact := fact.(type) {
	case Created:
		return fact.Log
	case Changed:
		return fact.Log
	case Opened:
		return fact.Log
	}
	return 0
}
