package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// SnapshotVersion counts up whenever Apply begins to fold the same events into another state. What changes of the types of
// State and of the events is told by itself: see shape.
const SnapshotVersion = 4

// ErrSnapshot is wrapped by what Restore returns: fold the room from its events instead.
var ErrSnapshot = errors.New("not a snapshot for this fold")

// tally is what tells whether a snapshot belongs to a log and to a fold.
type tally struct {
	defaults Settings
	events   uint64    // folded so far
	at       time.Time // of the newest
	latest   time.Time // the latest of all, by the clocks of the events' writers
}

func (t *tally) count(e *Event) {
	t.events++
	t.at = e.At
	if e.At.After(t.latest) {
		t.latest = e.At
	}
}

// Events is how many events were folded.
func (s *State) Events() uint64 { return s.tally.events }

// At is the time of the newest event folded, and Latest the latest of all of them, by the clocks of their writers.
func (s *State) At() time.Time { return s.tally.at }

// Latest is no earlier than At.
func (s *State) Latest() time.Time { return s.tally.latest }

// snapshot is a State written down. One state has one form: lists are sorted, and what follows from the rest is left out unless it
// differs, which only a log that somebody else wrote to can bring about.
type snapshot struct {
	Version    int       `json:"version"`
	Shape      string    `json:"shape"`
	Room       string    `json:"room"`
	Defaults   Settings  `json:"defaults"`
	Settings   Settings  `json:"settings"`
	Closed     bool      `json:"closed"`
	Recording  string    `json:"recording"`
	RecordedBy string    `json:"recorded_by"`
	Stopping   bool      `json:"stopping"`
	Position   uint64    `json:"position"`
	Events     uint64    `json:"events"`
	At         time.Time `json:"at"`
	Latest     time.Time `json:"latest"`
	KeepOver   bool      `json:"keep_over"`
	Due        due       `json:"due"`

	Sessions []sessionSnapshot    `json:"sessions"`
	Tracks   []trackSnapshot      `json:"tracks"`
	Last     map[string]uint64    `json:"last"` // of subjects that belong to no session and no track above
	Kicked   map[string]time.Time `json:"kicked"`
	Over     []string             `json:"over"`

	Odd *odd `json:"odd,omitempty"`
}

type sessionSnapshot struct {
	Session *Session `json:"session"`
	Tracks  []string `json:"tracks"`
	Last    uint64   `json:"last"`
}

type trackSnapshot struct {
	Track *Track `json:"track"`
	Last  uint64 `json:"last"`
	Gap   uint64 `json:"gap"`
}

// odd is what does not follow from the rest although it should.
type odd struct {
	ByIdentity map[string]string `json:"by_identity"`
	ByResume   map[string]string `json:"by_resume"`
	Occupied   int               `json:"occupied"`
	Open       int               `json:"open"`
}

// Snapshot writes the state down: Restore makes an equal one of it. It fails where a time is beyond the year 9999.
func (s *State) Snapshot() ([]byte, error) {
	n := snapshot{
		Version: SnapshotVersion, Shape: shape, Room: s.Room, Defaults: s.tally.defaults, Settings: s.Settings, Closed: s.Closed,
		Recording: s.Recording, RecordedBy: s.RecordedBy, Stopping: s.Stopping, Position: s.Position, Events: s.tally.events, At: s.tally.at, Latest: s.tally.latest,
		KeepOver: s.KeepOver, Due: s.due, Last: maps.Clone(s.last), Kicked: s.kicked, Over: s.over,
	}
	take := func(subject string) uint64 {
		position := n.Last[subject]
		if position != 0 { // a known subject without an event is not one without a place in the map
			delete(n.Last, subject)
		}
		return position
	}
	for _, id := range slices.Sorted(maps.Keys(s.Sessions)) {
		session := s.Sessions[id]
		n.Sessions = append(n.Sessions, sessionSnapshot{Session: session, Tracks: session.tracks, Last: take("session." + id)})
	}
	for _, id := range slices.Sorted(maps.Keys(s.Tracks)) {
		n.Tracks = append(n.Tracks, trackSnapshot{Track: s.Tracks[id], Last: take("track." + id), Gap: take("gap." + id)})
	}
	if actual, derived := s.indexes(), s.derive(); !actual.equal(derived) {
		n.Odd = actual
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, fmt.Errorf("write snapshot of %s: %w", s.Room, err)
	}
	return b, nil
}

func (s *State) indexes() *odd {
	return &odd{ByIdentity: s.byIdentity, ByResume: s.byResume, Occupied: s.occupied, Open: s.open}
}

// derive is what should follow from the sessions and tracks.
func (s *State) derive() *odd {
	o := &odd{ByIdentity: make(map[string]string, len(s.Sessions)), ByResume: make(map[string]string, len(s.Sessions))}
	for _, id := range slices.Sorted(maps.Keys(s.Sessions)) {
		session := s.Sessions[id]
		if session.Present() {
			o.Occupied++
			o.ByIdentity[session.Identity] = id
		}
		if session.ResumeHash != "" {
			o.ByResume[session.ResumeHash] = id
		}
		o.Open += len(session.tracks)
	}
	return o
}

func (o *odd) equal(other *odd) bool {
	return o.Occupied == other.Occupied && o.Open == other.Open &&
		maps.Equal(o.ByIdentity, other.ByIdentity) && maps.Equal(o.ByResume, other.ByResume)
}

// Restore makes the state of a room out of what Snapshot wrote under the same defaults. Every error wraps ErrSnapshot.
func Restore(b []byte, name string, defaults Settings) (*State, error) {
	var n snapshot
	if err := json.Unmarshal(b, &n); err != nil {
		return nil, fmt.Errorf("read snapshot of %s: %w: %w", name, ErrSnapshot, err)
	}
	switch {
	case n.Version != SnapshotVersion || n.Shape != shape:
		return nil, fmt.Errorf("read snapshot of %s: %w: version %d %.40q, this build writes %d %q", name, ErrSnapshot, n.Version, n.Shape, SnapshotVersion, shape)
	case n.Room != name:
		return nil, fmt.Errorf("read snapshot of %s: %w: it is of room %.80q", name, ErrSnapshot, n.Room)
	case n.Defaults != defaults:
		return nil, fmt.Errorf("read snapshot of %s: %w: it was folded with the defaults %v, here they are %v: give all services of a region the same --keep", name, ErrSnapshot, n.Defaults, defaults)
	}
	s := NewState(name, defaults)
	s.Settings, s.Closed, s.Position, s.KeepOver, s.over = n.Settings, n.Closed, n.Position, n.KeepOver, n.Over
	s.Recording, s.RecordedBy, s.Stopping, s.due = n.Recording, n.RecordedBy, n.Stopping, n.Due
	s.tally.events, s.tally.at, s.tally.latest = n.Events, n.At, n.Latest
	if err := s.fill(&n); err != nil {
		return nil, fmt.Errorf("read snapshot of %s: %w: %w", name, ErrSnapshot, err)
	}
	return s, nil
}

// fill puts sessions, tracks and what follows from them into a new state. A snapshot that names a track it does not have is
// refused: to fold on it would end in a panic.
func (s *State) fill(n *snapshot) error {
	maps.Copy(s.last, n.Last)
	maps.Copy(s.kicked, n.Kicked)
	put := func(subject string, position uint64) {
		if position != 0 {
			s.last[subject] = position
		}
	}
	for _, t := range n.Tracks {
		if t.Track == nil {
			return errors.New("a track without content")
		}
		id := t.Track.Track
		s.Tracks[id] = t.Track
		put("track."+id, t.Last)
		put("gap."+id, t.Gap)
	}
	for _, one := range n.Sessions {
		if one.Session == nil {
			return errors.New("a session without content")
		}
		id := one.Session.Session
		for _, track := range one.Tracks {
			if s.Tracks[track] == nil {
				return fmt.Errorf("session %.80q has a track %.80q that is not there", id, track)
			}
		}
		one.Session.tracks = one.Tracks
		s.Sessions[id] = one.Session
		put("session."+id, one.Last)
	}
	o := n.Odd
	if o == nil {
		o = s.derive()
	} else if o.ByIdentity == nil || o.ByResume == nil {
		return errors.New("an index is missing")
	}
	s.byIdentity, s.byResume, s.occupied, s.open = o.ByIdentity, o.ByResume, o.Occupied, o.Open
	return nil
}
