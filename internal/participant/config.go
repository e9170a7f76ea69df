package participant

import (
	"log/slog"
	"time"

	"airloom/internal/room"
)

// Config says who joins what. URL and Room are needed; the rest has defaults.
type Config struct {
	URL    string      // of an edge, http(s) or ws(s), or of several with commas: where one fails the next is tried
	Room   string      // to join
	Name   string      // to show; the token's or the edge's choice when empty
	Listen bool        // get the room's packets
	From   string      // with Listen, where to begin: "live" (or empty), "start", "-30s", a time (RFC 3339); see docs/wire.md section 4
	Rate   float64     // with From, seconds of sound in a second, 1–16; 0: 1
	Token  string      // a JWT; or
	Tokens TokenSource // gets one, and newer ones as they end; without both a dev token is asked for
	Agent  string      // what program this is

	Patience time.Duration // how long to try to come back before giving up; 0: 60 s
	Window   int           // backlog frames on their way unacked; 0: 1500

	// Hear gets what is heard, in order, on the goroutine that reads: it must not block. See Receiver.Deliver.
	Hear func(*Incoming, Heard)
	// Notice gets news of the room and the link, one at a time, on goroutines that read; it may be nil and must not block.
	Notice func(Notice)
	Logger *slog.Logger // nil: discard

	pingEvery, deadAfter time.Duration // for tests
}

func (c *Config) defaults() {
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	if c.Window == 0 {
		c.Window = 1500
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Token == "" && c.Tokens == nil {
		c.Tokens = DevTokens(c.URL, c.Room, "", c.Name)
	}
	if c.pingEvery == 0 {
		c.pingEvery, c.deadAfter = pingEvery, deadAfter
	}
}

// Notice is news: exactly one field that is not zero, but for Roster and Speaking, which may come empty.
type Notice struct {
	Kind     NoticeKind
	Speaking map[string]bool // by track
	Playback *Playback       // Played
	Gap      bool            // Skipped: the log does not have them
	Err      error           // Lost, TokenEnd: why; Refused: what the edge said
	Grants   room.Grants     // GrantsChanged: what they are now
}

// NoticeKind is what happened.
type NoticeKind uint8

// Kinds of Notice.
const (
	RosterChanged NoticeKind = iota + 1
	RoomChanged
	GrantsChanged // this session's rights: see Session
	SpeakingChanged
	LogAway  // the log keeps nothing at the moment, live goes on
	LogOK    // the log has caught up
	Lost     // the socket is gone; coming back
	Back     // there is a socket again
	Refused  // the edge refused something that was not asked for by a call
	Skipped  // this listener was too slow and has missed frames, or rewinds where the log has a gap
	Played   // where this listener's sound is, while it is in the past and when it comes to the live edge
	TokenEnd // the token is about to end and there is no newer one
)
