package participant

import (
	"errors"
	"fmt"

	"github.com/gorilla/websocket"
)

var (
	// ErrLeft says that this participant has left or was closed.
	ErrLeft = errors.New("participant has left the room")
	// ErrSessionLost says that a session could not be resumed: its tracks are over, what was not acked is lost.
	ErrSessionLost = errors.New("the session could not be resumed: it was away for longer than 30 s")
	// ErrTrackOver says that the edge knows a track as ended.
	ErrTrackOver = errors.New("the track is over at the edge")
	// ErrMayNotSpeak says that a moderator, the room's settings or a newer token took the right to speak, and with it the track.
	ErrMayNotSpeak = errors.New("the right to speak in this room was taken: the track has ended")
)

// NotKeptError says that a track is over, and that Missing of its Of frames and silent seqs are in no log and no recording, nor will
// be: the edge or the log that had taken them was lost before they were acked.
type NotKeptError struct {
	Track       string
	Missing, Of int64
}

// Error implements error.
func (e *NotKeptError) Error() string {
	return fmt.Sprintf("track %s is over and %d of its %d frames were not kept", e.Track, e.Missing, e.Of)
}

// Error is a refusal by the edge: a code of docs/wire.md 3.4 and its words, and the code with which the socket closed
// (0 where it stayed open).
type Error struct {
	Code    string
	Message string
	Close   int
}

// Error implements error.
func (e *Error) Error() string {
	switch {
	case e.Message == "":
		return "the edge says " + e.Code
	case e.Code == "":
		return fmt.Sprintf("the edge closed the socket with %d: %s", e.Close, e.Message)
	}
	return fmt.Sprintf("the edge says %s: %s", e.Code, e.Message)
}

// closeNames are the codes of docs/wire.md 3.4 by the close code that goes with them, for an edge that closed without
// its error message getting through.
var closeNames = map[int]string{
	4401: "unauthorized", 4403: "forbidden", 4408: "auth_timeout", 4409: "replaced", 4410: "room_closed",
	4423: "room_full", 4426: "protocol_version", 1008: "rate", 3008: "slow",
}

// refusal makes an Error of what ended a socket; said is the fatal error message heard before, or nil. It is nil
// where the socket just broke.
func refusal(err error, said *Error) *Error {
	var closed *websocket.CloseError
	if !errors.As(err, &closed) {
		return said
	}
	if said != nil {
		said.Close = closed.Code
		return said
	}
	return &Error{Code: closeNames[closed.Code], Message: closed.Text, Close: closed.Code}
}

// final tells whether a participant does not come back after this (docs/wire.md 3.4): it does after closes that say
// nothing against it, and after a socket that just broke.
func (e *Error) final() bool {
	switch e.Close {
	case 0:
		return finalCodes[e.Code] // the socket broke before the close frame: the words decide
	case websocket.CloseNormalClosure, // the session moved to another socket, or is over
		websocket.CloseGoingAway, websocket.CloseNoStatusReceived, websocket.CloseAbnormalClosure,
		websocket.CloseInternalServerErr, websocket.CloseServiceRestart, websocket.CloseTryAgainLater, closeSlow:
		return false
	}
	return true
}

const closeSlow = 3008

var finalCodes = map[string]bool{
	"unauthorized": true, "forbidden": true, "auth_timeout": true, "replaced": true, "room_closed": true,
	"room_full": true, "protocol_version": true, "kicked": true, "bad_room": true, "rate": true,
}

// IsCode tells whether err is a refusal with this code.
func IsCode(err error, code string) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Code == code
}
