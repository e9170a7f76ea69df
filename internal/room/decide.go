package room

import "errors"

// Refusals of the Decide functions.
var (
	ErrClosed         = errors.New("the room is closed")
	ErrFull           = errors.New("the room is full")
	ErrKicked         = errors.New("a moderator removed this identity from the room")
	ErrUnknownSession = errors.New("no such session in the room")
	ErrUnknownTrack   = errors.New("no such open track in the room")
	ErrTooManyTracks  = errors.New("too many tracks in this session")
	ErrForbidden      = errors.New("not allowed")
	ErrNothingToDo    = errors.New("it is so already")
	ErrStopping       = errors.New("the recording is just being stopped")

	errNotHalted = errors.New("a recording is stopped at a position only once it was halted")
)

// MaxTracks is the number of open tracks a session may have.
const MaxTracks = 8

// Draft is an event to append, and the position its subject must still have for it to be right.
type Draft struct {
	Fact   Fact
	Expect uint64
}

func (s *State) draft(f Fact) Draft {
	kind, id := f.Subject()
	return Draft{Fact: f, Expect: s.LastOn(kind, id)}
}

// Join decides on a new session. The log's order has the last word on capacity: see Admission.
func (s *State) Join(f Joined) (Draft, error) {
	if s.Closed {
		return Draft{}, ErrClosed
	}
	_, comesBack := s.byIdentity[f.Identity]
	if s.Settings.Capacity > 0 && s.occupied >= s.Settings.Capacity && !comesBack {
		return Draft{}, ErrFull
	}
	return s.draft(f), nil
}

// Admission says whether a session whose Joined is folded has a seat.
func (s *State) Admission(session string) error {
	switch joined := s.Sessions[session]; {
	case joined == nil:
		return ErrUnknownSession
	case joined.Admitted:
		return nil
	case joined.Banned:
		return ErrKicked
	case s.Closed:
		return ErrClosed
	default:
		return ErrFull
	}
}

// Move decides that a session has its socket on edge now.
func (s *State) Move(session, edge string) (Draft, error) {
	switch known := s.Sessions[session]; {
	case known == nil || !known.Present():
		return Draft{}, ErrUnknownSession
	case known.LastEdge == edge && !known.Away:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(Moved{Session: session, Edge: edge}), nil
	}
}

// Lose decides that a session on edge has no socket any more.
func (s *State) Lose(session, edge string, why Reason) (Draft, error) {
	switch known := s.Sessions[session]; {
	case known == nil || !known.Present():
		return Draft{}, ErrUnknownSession
	case known.LastEdge != edge || known.Away:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(Away{Session: session, Edge: edge, Reason: why}), nil
	}
}

// Leave decides that a session ends.
func (s *State) Leave(session string, why Reason) (Draft, error) {
	if s.Sessions[session] == nil {
		return Draft{}, ErrUnknownSession
	}
	return s.draft(Left{Session: session, Reason: why}), nil
}

// Kick decides that a moderator removes who has a session. Where a newer session has taken its place, that one is removed: what is meant is
// whoever is there.
func (s *State) Kick(session string) (Draft, error) {
	if known := s.Sessions[session]; known != nil && known.Replaced {
		if present := s.SessionOf(known.Identity); present != nil {
			session = present.Session
		}
	}
	return s.Leave(session, Kicked)
}

// StartTrack decides on a new track of a session.
func (s *State) StartTrack(f TrackStarted) (Draft, error) {
	session := s.Sessions[f.Session]
	switch {
	case session == nil || !session.Present():
		return Draft{}, ErrUnknownSession
	case !s.Settings.MaySpeak(session.Grants):
		return Draft{}, ErrForbidden
	case len(s.openTracks(session)) >= MaxTracks:
		return Draft{}, ErrTooManyTracks
	}
	return Draft{Fact: f, Expect: 0}, nil // the id must be new in the room's whole history
}

// Mute decides on the mute state of an open track.
func (s *State) Mute(track string, muted bool) (Draft, error) {
	known := s.Tracks[track]
	switch {
	case known == nil || known.Ended:
		return Draft{}, ErrUnknownTrack
	case known.Muted == muted:
		return Draft{}, ErrNothingToDo
	case muted:
		return s.draft(TrackMuted{Track: track}), nil
	default:
		return s.draft(TrackUnmuted{Track: track}), nil
	}
}

// EndTrack decides how a track ended.
func (s *State) EndTrack(f TrackEnded) (Draft, error) {
	known := s.Tracks[f.Track]
	switch {
	case known == nil:
		return Draft{}, ErrUnknownTrack
	case known.Ended:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(f), nil
	}
}

// DeclareGap decides on a gap; what was declared before stays as it is.
func (s *State) DeclareGap(f GapDeclared) (Draft, error) {
	known := s.Tracks[f.Track]
	if known == nil {
		return Draft{}, ErrUnknownTrack
	}
	for _, gap := range known.Gaps {
		if gap.Epoch == f.Epoch && gap.From <= f.From && f.To <= gap.To {
			return Draft{}, ErrNothingToDo
		}
	}
	return s.draft(f), nil
}

// CloseTrack decides up to where in the log a track that is over counts; the first decision holds.
func (s *State) CloseTrack(track string, through uint64) (Draft, error) {
	known := s.Tracks[track]
	switch {
	case known == nil || !known.Ended:
		return Draft{}, ErrUnknownTrack
	case known.Closed:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(TrackClosed{Track: track, Through: through}), nil
	}
}

// Open decides that a closed room is open again, with these settings.
func (s *State) Open(settings Settings, log uint64) (Draft, error) {
	if !s.Closed {
		return Draft{}, ErrNothingToDo
	}
	return s.draft(Opened{settings, log}), nil
}

// Set decides on the settings of a room that is open; a closed one opens by Open only.
func (s *State) Set(settings Settings) (Draft, error) { return s.SetAt(settings, 0) }

// SetAt is Set where TurnsRecord: log is the position that comes next in the audio log.
func (s *State) SetAt(settings Settings, log uint64) (Draft, error) {
	switch {
	case s.Closed:
		return Draft{}, ErrClosed
	case s.LastOn("room", "settings") == 0:
		return s.draft(Created{settings, log}), nil
	case s.Settings == settings:
		return Draft{}, ErrNothingToDo
	default:
		return s.draft(Changed{settings, log}), nil
	}
}

// Close decides that nobody may stay or join.
func (s *State) Close(reason string) (Draft, error) {
	if s.Closed {
		return Draft{}, ErrNothingToDo
	}
	return s.draft(Closed{Reason: reason}), nil
}
