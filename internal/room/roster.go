package room

import (
	"cmp"
	"slices"
	"time"
)

// Info, Participant and TrackInfo are the shapes of docs/wire.md 3.3, used by the socket, REST and the services' answers.
type (
	// Info is what everybody may know of a room.
	Info struct {
		Room      string `json:"room"`
		Keep      Keep   `json:"keep"`
		Capacity  int    `json:"capacity"`
		Closed    bool   `json:"closed"`
		Recording string `json:"recording"`
		Speak     string `json:"speak"`
	}
	// Participant is a session in the roster.
	Participant struct {
		Session  string      `json:"session"`
		Identity string      `json:"identity"`
		Name     string      `json:"name"`
		Away     bool        `json:"away"`
		Joined   time.Time   `json:"joined"`
		Grants   Grants      `json:"grants"`
		Tracks   []TrackInfo `json:"tracks"`
	}
	// TrackInfo is an open track of a Participant.
	TrackInfo struct {
		Track    string  `json:"track"`
		Handle   uint32  `json:"handle"`
		Name     string  `json:"name"`
		Label    string  `json:"label"`
		Channels int     `json:"channels"`
		FrameMS  float64 `json:"frame_ms"`
		Epoch    uint8   `json:"epoch"`
		Muted    bool    `json:"muted"`
		Clock    *Clock  `json:"clock"`
	}
)

// Info gives the room's settings and condition.
func (s *State) Info() Info {
	return Info{
		Room: s.Room, Keep: s.Settings.Keep, Capacity: s.Settings.Capacity, Closed: s.Closed,
		Recording: s.Recording, Speak: s.Settings.Speak,
	}
}

// Participant gives one session as the roster shows it; ok is false where it is not in the roster.
func (s *State) Participant(id string) (p Participant, ok bool) {
	session := s.Sessions[id]
	if session == nil || !session.Present() {
		return Participant{}, false
	}
	return Participant{
		Session: session.Session, Identity: session.Identity, Name: session.Name, Away: session.Away,
		Joined: session.Since, Grants: session.Grants, Tracks: s.openTracks(session),
	}, true
}

func (s *State) openTracks(session *Session) []TrackInfo {
	tracks := []TrackInfo{}
	for _, id := range session.tracks {
		t := s.Tracks[id]
		tracks = append(tracks, TrackInfo{
			Track: t.Track, Handle: t.Handle, Name: t.Name, Label: t.Label, Channels: t.Channels,
			FrameMS: t.FrameMS, Epoch: t.Epoch, Muted: t.Muted, Clock: t.Clock,
		})
	}
	return tracks
}

// Roster gives all sessions in the order of their joining, away ones included.
func (s *State) Roster() []Participant {
	roster := make([]Participant, 0, len(s.Sessions))
	for id := range s.Sessions {
		if p, ok := s.Participant(id); ok {
			roster = append(roster, p)
		}
	}
	slices.SortFunc(roster, func(a, b Participant) int {
		return cmp.Compare(s.Sessions[a.Session].Order, s.Sessions[b.Session].Order)
	})
	return roster
}

// OpenTracks counts tracks that are not over.
func (s *State) OpenTracks() int { return s.open }

// Touches names the sessions whose entries in the roster an event may change. Ask before the event is applied.
func (s *State) Touches(e *Event) []string {
	switch f := e.Fact.(type) {
	case Joined:
		if older := s.byIdentity[f.Identity]; older != "" && older != f.Session {
			return []string{older, f.Session}
		}
		return []string{f.Session}
	case TrackStarted:
		return []string{f.Session}
	}
	kind, id := e.Fact.Subject()
	switch kind {
	case "session":
		return []string{id}
	case "track":
		if track := s.Tracks[id]; track != nil {
			return []string{track.Session}
		}
	}
	return nil
}
