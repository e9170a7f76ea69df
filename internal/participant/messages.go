package participant

import (
	"encoding/json"
	"time"

	"airloom/internal/room"
)

// The JSON messages of docs/wire.md section 3.

type (
	hello struct {
		Type     string         `json:"type"`
		ID       int64          `json:"id"`
		Protocol int            `json:"protocol"`
		Token    string         `json:"token"`
		Room     string         `json:"room"`
		Listen   bool           `json:"listen"`
		Name     string         `json:"name,omitempty"`
		Resume   string         `json:"resume,omitempty"`
		Agent    string         `json:"agent,omitempty"`
		From     string         `json:"from,omitempty"`
		Rate     float64        `json:"rate,omitempty"`
		Tracks   []resumedTrack `json:"tracks,omitempty"`
	}
	resumedTrack struct {
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Acked int64  `json:"acked"`
	}
	listen struct {
		Type string  `json:"type"`
		ID   int64   `json:"id"`
		On   bool    `json:"on"`
		From string  `json:"from,omitempty"`
		Rate float64 `json:"rate,omitempty"`
	}
	trackStart struct {
		Type     string      `json:"type"`
		ID       int64       `json:"id"`
		Name     string      `json:"name"`
		Channels int         `json:"channels"`
		FrameMS  float64     `json:"frame_ms"`
		Epoch    uint8       `json:"epoch"`
		Clock    *room.Clock `json:"clock,omitempty"`
		Label    string      `json:"label,omitempty"`
	}
	trackMute struct {
		Type  string `json:"type"`
		ID    int64  `json:"id"`
		Track string `json:"track"`
		Muted bool   `json:"muted"`
	}
	trackEnd struct {
		Type  string `json:"type"`
		ID    int64  `json:"id"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		Last  int64  `json:"last"`
	}
	gap struct {
		Type  string `json:"type"`
		ID    int64  `json:"id"`
		Track string `json:"track"`
		Epoch uint8  `json:"epoch"`
		From  int64  `json:"from"`
		To    int64  `json:"to"`
	}
	refresh struct {
		Type  string `json:"type"`
		ID    int64  `json:"id"`
		Token string `json:"token"`
	}
	leave struct {
		Type string `json:"type"`
		ID   int64  `json:"id"`
	}
	ping struct {
		Type string `json:"type"`
		ID   int64  `json:"id"`
		T    int64  `json:"t"`
	}
)

// inbound holds any message from the edge; which fields count follows from Type. Room and Tracks differ by type and
// are decoded where they are used.
type inbound struct {
	Type string `json:"type"`
	Re   int64  `json:"re"`

	Session     string          `json:"session"`
	Identity    string          `json:"identity"`
	Name        string          `json:"name"`
	Resume      string          `json:"resume"`
	Resumed     bool            `json:"resumed"`
	Grants      room.Grants     `json:"grants"`
	ExpiresUnix int64           `json:"expires_unix"`
	Edge        string          `json:"edge"`
	Region      string          `json:"region"`
	UnixMicro   int64           `json:"unix_us"`
	Room        json.RawMessage `json:"room"`
	Roster      *roster         `json:"roster"`
	Tracks      json.RawMessage `json:"tracks"`
	Over        []string        `json:"over"`

	Track  string `json:"track"`
	Handle uint32 `json:"handle"`
	Epoch  uint8  `json:"epoch"`
	Seq    int64  `json:"seq"`
	Acked  int64  `json:"acked"` // of closed, with Kept
	Kept   int64  `json:"kept"`
	From   int64  `json:"from"`
	State  string `json:"state"`

	At      time.Time `json:"at"` // of playback, with all up to Clamped
	Rate    float64   `json:"rate"`
	Clamped string    `json:"clamped"`
	Window  struct {
		From, To *time.Time
	} `json:"window"`
	Reason string `json:"reason"` // of skipped

	roster // of a roster message

	T        int64  `json:"t"`
	WithinMS int64  `json:"within_ms"`
	Code     string `json:"code"`
	Message  string `json:"message"`
	Fatal    bool   `json:"fatal"`
}

type roster struct {
	Position     uint64             `json:"position"`
	Full         bool               `json:"full"`
	Participants []room.Participant `json:"participants"`
	Gone         []string           `json:"gone"`
}

type ownTrack struct {
	Track string `json:"track"`
	Name  string `json:"name"`
	Epoch uint8  `json:"epoch"`
	Acked int64  `json:"acked"`
	Muted bool   `json:"muted"`

	Handle uint32 `json:"handle"`
}

type skippedRange struct {
	Track string `json:"track"`
	Epoch uint8  `json:"epoch"`
	From  int64  `json:"from"`
	To    int64  `json:"to"`
}
