package presence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"airloom/internal/room"
)

// Page is the most rooms or participants in one answer: what fits well below the largest message of NATS (1 MiB).
const Page = 500

// Rooms answers subject.PresenceRooms. The request may be empty.
type (
	RoomsRequest struct {
		After string `json:"after,omitempty"` // rooms behind this name; "": from the first
	}
	RoomsAnswer struct {
		Rooms []RoomCount `json:"rooms"` // at most Page, by name
		More  bool        `json:"more"`  // ask again with after = the last name
	}
	// RoomCount is a room with how many are in it.
	RoomCount struct {
		Room      string    `json:"room"`
		Keep      room.Keep `json:"keep"`
		Capacity  int       `json:"capacity"`
		Closed    bool      `json:"closed"`
		Recording string    `json:"recording"`
		Present   int       `json:"present"` // sessions with a socket
		Away      int       `json:"away"`    // sessions that may resume
		Tracks    int       `json:"tracks"`  // open ones
	}
)

// Roster answers subject.PresenceRoster.
type (
	RosterRequest struct {
		Room   string `json:"room"`
		Offset int    `json:"offset,omitempty"` // participants to pass over
	}
	// RosterAnswer holds at most Page participants, those with open tracks first, then in the order of their joining.
	RosterAnswer struct {
		Room         room.Info     `json:"room"`
		Participants []Participant `json:"participants"` // with a socket
		Away         []Participant `json:"away"`         // may resume
		Total        int           `json:"total"`        // participants of both kinds, on all pages
		Tracks       int           `json:"tracks"`
		Position     uint64        `json:"position"` // of the room's newest event; 0: the room has none
	}
	// Participant and Track are those of docs/wire.md 3.3, with who speaks right now.
	Participant struct {
		room.Participant
		Tracks []Track `json:"tracks"`
	}
	Track struct {
		room.TrackInfo
		Speaking bool `json:"speaking"`
	}
)

// Refusal is the answer to a request that could not be read.
type Refusal struct {
	Error string `json:"error"`
}

func (w *watch) Rooms(req RoomsRequest) RoomsAnswer {
	names := make([]string, 0, len(w.halls))
	for name := range w.halls {
		if name > req.After {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	answer := RoomsAnswer{Rooms: []RoomCount{}, More: len(names) > Page}
	for _, name := range names[:min(len(names), Page)] {
		h := w.halls[name]
		info := h.state.Info()
		answer.Rooms = append(answer.Rooms, RoomCount{
			Room: name, Keep: info.Keep, Capacity: info.Capacity, Closed: info.Closed, Recording: info.Recording,
			Present: h.count[present], Away: h.count[away], Tracks: h.state.OpenTracks(),
		})
	}
	return answer
}

func (w *watch) Roster(req RosterRequest, now time.Time) RosterAnswer {
	state := room.NewState(req.Room, w.defaults)
	if h := w.halls[req.Room]; h != nil {
		state = h.state
	}
	all := []room.Participant{}
	if !state.Closed { // who is still in it is being shown out
		all = state.Roster()
	}
	slices.SortStableFunc(all, func(a, b room.Participant) int { return cmp.Compare(len(b.Tracks), len(a.Tracks)) })
	answer := RosterAnswer{
		Room: state.Info(), Participants: []Participant{}, Away: []Participant{},
		Total: len(all), Tracks: state.OpenTracks(), Position: state.Position,
	}
	from := min(max(req.Offset, 0), len(all))
	for _, p := range all[from:min(from+Page, len(all))] {
		if listed := w.participant(req.Room, p, now); p.Away {
			answer.Away = append(answer.Away, listed)
		} else {
			answer.Participants = append(answer.Participants, listed)
		}
	}
	return answer
}

func (w *watch) participant(roomName string, p room.Participant, now time.Time) Participant {
	listed := Participant{Participant: p, Tracks: []Track{}}
	for _, t := range p.Tracks {
		listed.Tracks = append(listed.Tracks, Track{TrackInfo: t, Speaking: !t.Muted && w.isSpeaking(roomName, t.Track, now)})
	}
	slices.SortFunc(listed.Tracks, func(a, b Track) int { return strings.Compare(a.Track, b.Track) })
	return listed
}
