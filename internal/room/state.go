package room

import (
	"maps"
	"slices"
	"time"
)

// State is the fold of a room's events. The zero value is not usable: see NewState.
type State struct {
	Room       string
	Settings   Settings
	Closed     bool
	Recording  string // id of the open recording, or ""
	RecordedBy string // who started it: an identity, or ByKeep
	Stopping   bool   // it is about to be stopped
	Position   uint64 // of the newest event folded

	Sessions map[string]*Session // all that have joined and not left, admitted or not
	Tracks   map[string]*Track   // those that go on, and the newest of those that are over: see maxOver

	// KeepOver makes the state keep every track that is over until Forget is called for it. Set it before the first event.
	KeepOver bool

	last       map[string]uint64    // "kind.id" -> position of the newest event on that subject
	byIdentity map[string]string    // identity -> its present session
	byResume   map[string]string    // resume hash -> session
	kicked     map[string]time.Time // identity -> when a moderator removed it
	occupied   int                  // sessions that are Present
	open       int                  // tracks that are not over
	over       []string             // tracks that are over, in the order of their ends; empty with KeepOver
	due        due                  // what is to be recorded and is not yet
	tally      tally                // see snapshot.go
}

// Session is one participant's stay in the room.
type Session struct {
	Joined          // with the rights that hold now
	Token    Grants // what of the rights the newest token still carries, as far as the log was told
	Taken    Grants // by a moderator who has not given it back: another token does not bring it back either
	Since    time.Time
	Admitted bool // false: over capacity when it joined
	Banned   bool // a moderator had removed this identity less than BanFor before
	Replaced bool // a newer session of the same identity has joined
	Away     bool
	AwayAt   time.Time
	AwayFor  Reason
	LastEdge string // incarnation that holds or last held its socket
	Order    uint64 // position of its Joined

	tracks []string // ids of those that are not over, in the order of their starting
}

// Present says whether the session is in the roster (perhaps as away).
func (s *Session) Present() bool { return s.Admitted && !s.Replaced }

// Track is one audio source a session publishes.
type Track struct {
	TrackStarted
	Since    time.Time
	Muted    bool
	Ended    bool
	EndedAt  time.Time
	EndKnown bool  // the speaker said how it ended (TrackEnded); else the session left
	Last     int64 // with EndKnown: last seq of EndEpoch
	EndEpoch uint8
	Gaps     []GapDeclared
	Closed   bool   // what counts of it is fixed
	Order    uint64 // position of its TrackStarted
}

// BanFor is how long an identity that a moderator removed stays out, by the clocks of the events' writers.
const BanFor = 10 * time.Minute

// NewState is the state of a room without events under these defaults.
func NewState(name string, defaults Settings) *State {
	return &State{
		Room: name, Settings: defaults, tally: tally{defaults: defaults},
		Sessions: map[string]*Session{}, Tracks: map[string]*Track{}, last: map[string]uint64{}, byIdentity: map[string]string{}, byResume: map[string]string{}, kicked: map[string]time.Time{},
	}
}

// Apply folds one event. Events at or below Position were folded before and change nothing, so a replay that overlaps is harmless.
func (s *State) Apply(e *Event) {
	if e.Position <= s.Position && e.Position != 0 {
		return
	}
	kind, id := e.Fact.Subject()
	s.last[kind+"."+id] = e.Position
	s.Position = e.Position
	s.tally.count(e)
	keep, open := s.Settings.Keep, s.Recording
	e.Fact.apply(s, e)
	s.noteDue(e, keep, open)
	if (kind == "track" || kind == "gap") && s.Tracks[id] == nil {
		s.Forget(id) // it was forgotten before
	}
	s.trim()
}

// Fold applies events to a fresh state.
func Fold(name string, defaults Settings, events []Event) *State {
	s := NewState(name, defaults)
	for i := range events {
		s.Apply(&events[i])
	}
	return s
}

// Resumable is the present session with this resume hash, or nil.
func (s *State) Resumable(hash string) *Session {
	session := s.Sessions[s.byResume[hash]]
	if session == nil || !session.Present() {
		return nil
	}
	return session
}

// LastOn is the position of the newest event on a subject, 0 for none: what a compare-and-append expects.
func (s *State) LastOn(kind, id string) uint64 { return s.last[kind+"."+id] }

// Occupied counts sessions that hold a seat: present and away ones.
func (s *State) Occupied() int { return s.occupied }

func (f Created) apply(s *State, _ *Event) { s.Settings, s.Closed = f.Settings, false }
func (f Changed) apply(s *State, _ *Event) { s.Settings = f.Settings }
func (f Opened) apply(s *State, _ *Event)  { s.Settings, s.Closed = f.Settings, false }
func (f Closed) apply(s *State, _ *Event)  { s.Closed = true }

func (f Joined) apply(s *State, e *Event) {
	older := s.Sessions[s.byIdentity[f.Identity]]
	if older != nil { // the newcomer has its seat, also in a room whose capacity was lowered below who is there
		s.vacate(older, e)
		older.Replaced = true
	}
	banned := s.IsBanned(f.Identity, e.At)
	if !banned {
		delete(s.kicked, f.Identity)
	}
	admitted := !s.Closed && !banned && (s.Settings.Capacity == 0 || s.occupied < s.Settings.Capacity || older != nil)
	s.Sessions[f.Session] = &Session{
		Joined: f, Token: f.Grants, Since: e.At, Admitted: admitted, Banned: banned, LastEdge: f.Edge, Order: e.Position,
	}
	if f.ResumeHash != "" {
		s.byResume[f.ResumeHash] = f.Session
	}
	if admitted {
		s.occupied++
		s.byIdentity[f.Identity] = f.Session
	}
}

// IsBanned says whether an identity is kept out at a time.
func (s *State) IsBanned(identity string, now time.Time) bool {
	at, ok := s.kicked[identity]
	return ok && now.Sub(at) < BanFor
}

// vacate takes a session's seat away and ends its tracks.
func (s *State) vacate(session *Session, e *Event) {
	if session.Present() {
		s.occupied--
		delete(s.byIdentity, session.Identity)
	}
	for _, id := range session.tracks {
		s.open--
		s.finish(s.Tracks[id], e)
	}
	session.tracks = nil
}

func (f Moved) apply(s *State, _ *Event) {
	if session := s.Sessions[f.Session]; session != nil {
		session.LastEdge, session.Away, session.AwayAt, session.AwayFor = f.Edge, false, time.Time{}, ""
	}
}

func (f Away) apply(s *State, e *Event) {
	session := s.Sessions[f.Session]
	if session == nil || session.LastEdge != f.Edge {
		return // it has moved on meanwhile
	}
	session.Away, session.AwayAt, session.AwayFor = true, e.At, f.Reason
}

func (f Left) apply(s *State, e *Event) {
	if session := s.Sessions[f.Session]; session != nil {
		if f.Reason == Kicked && session.Admitted { // also a replaced one: the ban is the identity's; the leave of one that was kept out makes none
			maps.DeleteFunc(s.kicked, func(_ string, at time.Time) bool { return e.At.Sub(at) >= BanFor })
			s.kicked[session.Identity] = e.At
		}
		s.vacate(session, e)
		delete(s.Sessions, f.Session)
		delete(s.byResume, session.ResumeHash)
		delete(s.last, "session."+f.Session) // nothing is ever appended there again
	}
}

func (f TrackStarted) apply(s *State, e *Event) {
	if s.Tracks[f.Track] != nil {
		return // appended past the rule that its subject is new: one track would be two sessions'
	}
	track := &Track{TrackStarted: f, Since: e.At, Last: -1, Order: e.Position}
	s.Tracks[f.Track] = track
	session := s.Sessions[f.Session]
	if session == nil || !session.Present() { // it left while its edge was appending
		s.finish(track, e)
		return
	}
	session.tracks = append(session.tracks, f.Track)
	s.open++
}

func (f TrackMuted) apply(s *State, _ *Event) {
	if track := s.Tracks[f.Track]; track != nil {
		track.Muted = true
	}
}

func (f TrackUnmuted) apply(s *State, _ *Event) {
	if track := s.Tracks[f.Track]; track != nil {
		track.Muted = false
	}
}

func (f TrackEnded) apply(s *State, e *Event) {
	track := s.Tracks[f.Track]
	if track == nil {
		return
	}
	if !track.Ended {
		if session := s.Sessions[track.Session]; session != nil {
			session.tracks = slices.DeleteFunc(session.tracks, func(id string) bool { return id == f.Track })
		}
		s.open--
		s.finish(track, e)
	}
	track.EndKnown, track.EndEpoch, track.Last = true, f.Epoch, f.Last
}

func (f GapDeclared) apply(s *State, _ *Event) {
	if track := s.Tracks[f.Track]; track != nil {
		track.Gaps = append(track.Gaps, f)
	}
}

func (f TrackClosed) apply(s *State, _ *Event) {
	if track := s.Tracks[f.Track]; track != nil {
		track.Closed = true
	}
}

func (f RecordingStarted) apply(s *State, _ *Event) {
	s.Recording, s.RecordedBy, s.Stopping = f.Recording, f.By, false
}

func (f RecordingStopping) apply(s *State, _ *Event) {
	if s.Recording == f.Recording {
		s.Stopping = s.Recording != ""
	}
}

func (f RecordingStopped) apply(s *State, _ *Event) {
	if s.Recording == f.Recording && !(f.Idle && s.open > 0) {
		s.Recording, s.RecordedBy, s.Stopping = "", "", false
	}
}
