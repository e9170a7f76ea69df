package query

import "airloom/internal/room"

// subject.PresenceRooms: RoomsQuestion, answered by Rooms.
type (
	RoomsQuestion struct {
		After string `json:"after,omitempty"` // rooms behind this name; "": from the first
	}
	Rooms struct {
		Rooms []RoomCount `json:"rooms"` // by name
		More  bool        `json:"more"`  // ask again with after = the last name
	}
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

// subject.PresenceRoster: RosterQuestion, answered by Roster.
type (
	RosterQuestion struct {
		Room   string `json:"room"`
		Offset int    `json:"offset,omitempty"` // participants to pass over
	}
	Roster struct {
		Room         room.Info     `json:"room"`
		Participants []Participant `json:"participants"` // with a socket
		Away         []Participant `json:"away"`         // may resume
		Total        int           `json:"total"`        // of both kinds, on all pages
		Tracks       int           `json:"tracks"`
		Position     uint64        `json:"position"` // of the room's newest event; 0: the room has none
	}
	Participant struct {
		room.Participant
		Tracks []Track `json:"tracks"`
	}
	Track struct {
		room.TrackInfo
		Speaking bool `json:"speaking"`
	}
)
