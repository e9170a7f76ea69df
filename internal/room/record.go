package room

// ByKeep is who starts recordings in rooms with keep: record.
const ByKeep = "keep"

// StartRecording decides on a recording; none may be open. What keep: record wants by then is in it, too. Whoever asks the audio log for From does so
// before the state is loaded: a track that begins behind the state has all its packs behind From.
func (s *State) StartRecording(f RecordingStarted) (Draft, error) {
	switch {
	case s.Stopping:
		return Draft{}, ErrStopping
	case s.Recording != "":
		return Draft{}, ErrNothingToDo
	case s.Settings.Keep == KeepNone && f.By != ByKeep: // which is late, of what was said before
		return Draft{}, ErrForbidden
	}
	if f.By != ByKeep {
		f = s.due.widen(f)
	}
	return s.draft(f), nil
}

// HaltRecording decides that a recording is about to be stopped: the audio log is asked for the position then, and StopRecording
// follows.
func (s *State) HaltRecording(id string) (Draft, error) {
	if s.Recording == "" || s.Recording != id || s.Stopping {
		return Draft{}, ErrNothingToDo
	}
	return s.draft(RecordingStopping{Recording: id}), nil
}

// EndRecording decides that a recording is over because no track is open. Should one have begun that is not folded yet, the fold decides
// that it goes on.
func (s *State) EndRecording(id string) (Draft, error) {
	if s.Recording == "" || s.Recording != id || s.open > 0 {
		return Draft{}, ErrNothingToDo
	}
	return s.draft(RecordingStopped{Recording: id, Idle: true}), nil
}

// StopRecording decides that a recording is over: through is the position that the audio log was asked for since HaltRecording. Where
// nobody halted it, it is 0, and holds the recording's tracks to their ends.
func (s *State) StopRecording(id string, through uint64) (Draft, error) {
	switch {
	case s.Recording == "" || s.Recording != id:
		return Draft{}, ErrNothingToDo
	case through != 0 && !s.Stopping:
		return Draft{}, errNotHalted
	}
	return s.draft(RecordingStopped{Recording: id, Through: through}), nil
}

// TurnsRecord says whether with these settings a room begins to be recorded, or is no longer: what was said before, or is said after
// that, is in no recording. A track may be open by then though none is now.
func (s *State) TurnsRecord(settings Settings) bool {
	return (settings.Keep == KeepRecord) != (s.Settings.Keep == KeepRecord)
}

// StopsRecord says whether the open recording must end because the room is no longer to be recorded.
func (s *State) StopsRecord(settings Settings) bool {
	return s.Recording != "" && s.RecordedBy == ByKeep && settings.Keep != KeepRecord
}
