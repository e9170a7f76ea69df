package edge

import (
	"errors"
	"fmt"

	"airloom/internal/auth"
	"airloom/internal/eventlog"
	"airloom/internal/room"
)

// refusal is an answer of docs/wire.md 3.4: a code, words for a person, and the close code where it is fatal.
type refusal struct {
	code    string
	text    string
	close   int  // 0: the socket stays
	strikes bool // it counts as a strike
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

func refuse(code string, closeCode int, format string, args ...any) *refusal {
	return &refusal{code: code, text: fmt.Sprintf(format, args...), close: closeCode}
}

// strike is a refusal that counts.
func strike(code, format string, args ...any) *refusal {
	return &refusal{code: code, text: fmt.Sprintf(format, args...), strikes: true}
}

// Close codes of docs/wire.md.
const (
	closeNormal       = 1000
	closeGoingAway    = 1001
	closeProtocol     = 1002
	closeUnsupported  = 1003
	closeBadText      = 1007
	closePolicy       = 1008
	closeTooBig       = 1009
	closeRestart      = 1012
	closeOverload     = 1013
	closeUnauthorized = 4401
	closeForbidden    = 4403
	closeAuthTimeout  = 4408
	closeReplaced     = 4409
	closeRoomClosed   = 4410
	closeRoomFull     = 4423
	closeVersion      = 4426
)

// asRefusal turns what the domain says into an answer.
func asRefusal(err error) *refusal {
	var r *refusal
	switch {
	case errors.As(err, &r):
		return r
	case errors.Is(err, room.ErrClosed):
		return refuse("room_closed", closeRoomClosed, "this room is closed")
	case errors.Is(err, room.ErrKicked):
		return refuse("kicked", closeForbidden, "a moderator removed you from this room: you may come back %v later", room.BanFor)
	case errors.Is(err, room.ErrFull):
		return refuse("room_full", closeRoomFull, "this room is full: its capacity is reached")
	case errors.Is(err, room.ErrForbidden):
		return refuse("forbidden", 0, "your token or the room's settings do not allow this")
	case errors.Is(err, room.ErrTooManyTracks):
		return refuse("too_many_tracks", 0, "a session may have %d tracks at once", room.MaxTracks)
	case errors.Is(err, room.ErrUnknownTrack):
		return refuse("unknown_track", 0, "this session has no such open track")
	case errors.Is(err, room.ErrUnknownSession):
		return refuse("replaced", closeReplaced, "this session is over")
	case errors.Is(err, auth.ErrRoom):
		return refuse("forbidden", closeForbidden, "%v", err)
	case errors.Is(err, auth.ErrToken):
		return refuse("unauthorized", closeUnauthorized, "%v", err)
	case errors.Is(err, auth.ErrWider), errors.Is(err, auth.ErrIdentity):
		return refuse("forbidden", closeForbidden, "%v", err)
	case errors.Is(err, eventlog.ErrAway), errors.Is(err, eventlog.ErrConflict):
		return refuse("log_away", 0, "the room's log does not answer at the moment: try again")
	default:
		return refuse("log_away", 0, "this could not be done now: try again")
	}
}

// closeCodeOf is how a socket ends when its session was ended by the log.
func closeCodeOf(why room.Reason) (code int, name, words string) {
	switch why {
	case room.Kicked:
		return closeForbidden, "kicked", "a moderator removed you from the room"
	case room.RoomClosed:
		return closeRoomClosed, "room_closed", "this room was closed"
	case room.Replaced:
		return closeReplaced, "replaced", "you joined again somewhere else"
	case room.RoomFull:
		return closeRoomFull, "room_full", "this room is full"
	case room.Expired:
		return closeUnauthorized, "unauthorized", "the token has expired"
	default:
		return closeRestart, "restart", "this session is over: join again"
	}
}
