package room

import "encoding/json"

// facts is the table of event types: one row each.
var facts = map[string]func(json.RawMessage) (Fact, error){
	"room.created":       fact[Created],
	"room.changed":       fact[Changed],
	"room.closed":        fact[Closed],
	"room.opened":        fact[Opened],
	"session.joined":     fact[Joined],
	"session.moved":      fact[Moved],
	"session.granted":    fact[Granted],
	"session.away":       fact[Away],
	"session.left":       fact[Left],
	"track.started":      fact[TrackStarted],
	"track.muted":        fact[TrackMuted],
	"track.unmuted":      fact[TrackUnmuted],
	"track.ended":        fact[TrackEnded],
	"track.closed":       fact[TrackClosed],
	"gap.declared":       fact[GapDeclared],
	"recording.started":  fact[RecordingStarted],
	"recording.stopping": fact[RecordingStopping],
	"recording.stopped":  fact[RecordingStopped],
}

func fact[F Fact](b json.RawMessage) (Fact, error) {
	var f F
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	return f, nil
}

// Created, Changed and Opened carry the room's settings, whole. Log is the position of the audio log that was to come next when keep
// became record while tracks were open, or was record no longer; 0: not asked for.
type (
	Created struct {
		Settings
		Log uint64 `json:"log,omitempty"`
	}
	Changed struct {
		Settings
		Log uint64 `json:"log,omitempty"`
	}
	Opened struct {
		Settings
		Log uint64 `json:"log,omitempty"`
	}
	// Closed ends all sessions; nobody may join until Opened.
	Closed struct {
		Reason string `json:"reason"`
	}
)

// Joined begins a session.
type Joined struct {
	Session    string `json:"session"`
	Identity   string `json:"identity"`
	Name       string `json:"name"`
	Grants     Grants `json:"grants"`
	Edge       string `json:"edge"`                  // incarnation that holds its socket
	ResumeHash string `json:"resume_hash,omitempty"` // hex SHA-256 of the resume secret
	Agent      string `json:"agent,omitempty"`
}

// Moved says that the session has its socket on Edge now: resumed there, or back after Away.
type Moved struct {
	Session string `json:"session"`
	Edge    string `json:"edge"`
}

// Granted replaces a session's rights: they hold from here on, whatever its token says.
type Granted struct {
	Session string `json:"session"`
	Grants  Grants `json:"grants"` // whole
	By      string `json:"by"`     // identity of a moderator, or ByToken
}

// ByToken as Granted.By says that the session's own newer token has fewer rights.
const ByToken = "token"

// Away says that the session lost its socket and may resume.
type Away struct {
	Session string `json:"session"`
	Edge    string `json:"edge"` // the edge that lost it
	Reason  Reason `json:"reason"`
}

// Left ends a session and its tracks; exactly one follows each Joined.
type Left struct {
	Session string `json:"session"`
	Reason  Reason `json:"reason"`
}

// Reason says why a session is away or has left.
type Reason string

// Reasons of Away and Left.
const (
	SocketLost Reason = "socket_lost"
	EdgeLost   Reason = "edge_lost"

	Bye        Reason = "bye"
	Timeout    Reason = "timeout"
	Replaced   Reason = "replaced"
	Kicked     Reason = "kicked"
	RoomClosed Reason = "room_closed"
	RoomFull   Reason = "room_full"
	Expired    Reason = "expired"
)

// TrackStarted announces a track before its first frame.
type TrackStarted struct {
	Track    string  `json:"track"`
	Handle   uint32  `json:"handle"`
	Session  string  `json:"session"`
	Name     string  `json:"name"`
	Label    string  `json:"label,omitempty"`
	Channels int     `json:"channels"`
	FrameMS  float64 `json:"frame_ms"`
	Epoch    uint8   `json:"epoch"`
	Clock    *Clock  `json:"clock,omitempty"`
}

// Clock says that the sample with Timestamp was captured at UnixMicro, by the speaker's best estimate of UTC.
type Clock struct {
	Timestamp uint32 `json:"timestamp"` // 48 kHz samples
	UnixMicro int64  `json:"unix_us"`
}

// TrackMuted and TrackUnmuted say what the speaker chose; the silence itself is declared in packets.
type (
	TrackMuted struct {
		Track string `json:"track"`
	}
	TrackUnmuted struct {
		Track string `json:"track"`
	}
)

// TrackEnded says that epochs below Epoch are over and Epoch ends with seq Last (-1: it has no frame).
type TrackEnded struct {
	Track string `json:"track"`
	Epoch uint8  `json:"epoch"`
	Last  int64  `json:"last"`
}

// TrackClosed fixes what counts of a track that is over: what the log had up to position Through, and nothing after it.
type TrackClosed struct {
	Track   string `json:"track"`
	Through uint64 `json:"through"`
}

// GapDeclared says that these seqs will never be in the log: frames logged after position Through don't change it.
type GapDeclared struct {
	Track   string    `json:"track"`
	Epoch   uint8     `json:"epoch"`
	From    uint32    `json:"from"`
	To      uint32    `json:"to"` // inclusive
	Reason  GapReason `json:"reason"`
	Through uint64    `json:"through"`
}

// GapReason says why frames are missing.
type GapReason string

// Reasons of a gap (design: closed-world gap map).
const (
	PublisherDropped  GapReason = "publisher_dropped"
	PublisherVanished GapReason = "publisher_vanished"
	Rejected          GapReason = "rejected"
	StorageCorrupt    GapReason = "storage_corrupt"
	NotRecorded       GapReason = "not_recorded" // in recordings only: while it ran the log had no frame of it, and nobody said why
)

// RecordingStarted opens a recording; By is an identity, or "keep" where the settings did it. It holds the tracks that
// were open at position Since or later; 0: at its own. Of those that had begun by then it holds the frames behind position From of the
// audio log; 0: all.
type RecordingStarted struct {
	Recording string `json:"recording"`
	By        string `json:"by"`
	Since     uint64 `json:"since,omitempty"`
	From      uint64 `json:"from,omitempty"`
}

// RecordingStopping says that the open recording is about to be stopped. Recorders close no segment of it from here on, so the position
// that whoever stops it asks the audio log for now is behind all that they have closed.
type RecordingStopping struct {
	Recording string `json:"recording"`
}

// RecordingStopped closes the open recording. Of the tracks that go on it holds the frames up to position Through of the audio log. Through
// is 0 where the log was empty, if it was halted before, and else where they count to their ends. Idle says that no track was open, by
// what its writer had folded: where one is, it stops nothing.
type RecordingStopped struct {
	Recording string `json:"recording"`
	Through   uint64 `json:"through,omitempty"`
	Idle      bool   `json:"idle,omitempty"`
}

// Type implements Fact.
func (Created) Type() string           { return "room.created" }
func (Changed) Type() string           { return "room.changed" }
func (Closed) Type() string            { return "room.closed" }
func (Opened) Type() string            { return "room.opened" }
func (Joined) Type() string            { return "session.joined" }
func (Moved) Type() string             { return "session.moved" }
func (Granted) Type() string           { return "session.granted" }
func (Away) Type() string              { return "session.away" }
func (Left) Type() string              { return "session.left" }
func (TrackStarted) Type() string      { return "track.started" }
func (TrackMuted) Type() string        { return "track.muted" }
func (TrackUnmuted) Type() string      { return "track.unmuted" }
func (TrackEnded) Type() string        { return "track.ended" }
func (TrackClosed) Type() string       { return "track.closed" }
func (GapDeclared) Type() string       { return "gap.declared" }
func (RecordingStarted) Type() string  { return "recording.started" }
func (RecordingStopping) Type() string { return "recording.stopping" }
func (RecordingStopped) Type() string  { return "recording.stopped" }

// Subject implements Fact.
func (Created) Subject() (string, string)           { return "room", "settings" }
func (Changed) Subject() (string, string)           { return "room", "settings" }
func (Closed) Subject() (string, string)            { return "room", "settings" }
func (Opened) Subject() (string, string)            { return "room", "settings" }
func (f Joined) Subject() (string, string)          { return "session", f.Session }
func (f Moved) Subject() (string, string)           { return "session", f.Session }
func (f Granted) Subject() (string, string)         { return "session", f.Session }
func (f Away) Subject() (string, string)            { return "session", f.Session }
func (f Left) Subject() (string, string)            { return "session", f.Session }
func (f TrackStarted) Subject() (string, string)    { return "track", f.Track }
func (f TrackMuted) Subject() (string, string)      { return "track", f.Track }
func (f TrackUnmuted) Subject() (string, string)    { return "track", f.Track }
func (f TrackEnded) Subject() (string, string)      { return "track", f.Track }
func (f TrackClosed) Subject() (string, string)     { return "gap", f.Track } // in one order with the gaps
func (f GapDeclared) Subject() (string, string)     { return "gap", f.Track }
func (RecordingStarted) Subject() (string, string)  { return "recording", "current" }
func (RecordingStopping) Subject() (string, string) { return "recording", "current" }
func (RecordingStopped) Subject() (string, string)  { return "recording", "current" }
