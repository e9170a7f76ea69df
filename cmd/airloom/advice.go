package main

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"syscall"

	"airloom/internal/auth"
	"airloom/internal/media"
	"airloom/internal/participant"
)

// hinted is an error together with what to do about it.
type hinted struct {
	err  error
	todo string
}

func (h hinted) Error() string { return h.err.Error() }
func (h hinted) Unwrap() error { return h.err }

func hint(err error, todo string) error { return hinted{err, todo} }

// advice says what to do about an error, or "".
func advice(err error) string {
	var h hinted
	var problem *participant.Problem
	var refused *participant.Error
	var notKept *participant.NotKeptError
	switch {
	case errors.As(err, &h):
		return h.todo
	case errors.As(err, &refused):
		return codeAdvice[refused.Code]
	case errors.As(err, &problem):
		return statusAdvice[problem.Status]
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nobody answers at --url: start an edge with `airloom up`, or mend the address."
	case errors.Is(err, context.DeadlineExceeded):
		return "Nothing came in time: is the edge at --url well? `airloom doctor --url URL` looks."
	case errors.Is(err, media.ErrNoFFmpeg):
		return "Install ffmpeg (Debian: apt install ffmpeg), or give an Ogg Opus file, which needs none."
	case errors.Is(err, media.ErrNotAudio):
		return "Give a file with sound in it: Ogg Opus as is, anything that ffmpeg reads otherwise."
	case errors.Is(err, media.ErrMixed):
		return "Encode it anew with --transcode."
	case errors.Is(err, participant.ErrSessionLost), errors.Is(err, participant.ErrTrackOver), errors.As(err, &notKept):
		return "What was acked is kept. Publish the rest again as a new track."
	case errors.Is(err, auth.ErrKeyFile):
		return "`airloom key FILE` makes a key pair."
	case errors.Is(err, fs.ErrExist):
		return "Nothing was overwritten: choose another name, or move that file away yourself."
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return "See `airloom --help` and `airloom COMMAND --help`."
	}
	return ""
}

var codeAdvice = map[string]string{
	"unauthorized":     "Get a new token: `airloom token` makes one, --token or AIRLOOM_TOKEN takes it.",
	"forbidden":        "The token does not allow this: make one for this room, with the right it lacks (--speak, --listen, --record, --moderate).",
	"bad_room":         "The token is for another room: give --room as in the token, or make a token for this room.",
	"replaced":         "Somebody joined with the same identity: give each participant a token of its own.",
	"room_closed":      "Open the room with `airloom room create R`.",
	"room_full":        "Wait until somebody leaves, or raise the bound: `airloom room create R --capacity N`.",
	"kicked":           "A moderator removed this participant.",
	"rate":             "The edge got more than it takes: send in real time, or use --rate max, which waits for acks.",
	"log_away":         "The log cannot be written now: try again, and look at the edge's and NATS's logs.",
	"recording_due":    "Is a recorder running? The room is to be recorded: `airloom room create R --keep rewind` ends that.",
	"protocol_version": "This program and the edge are too far apart in version: use the same release.",
	"not_supported":    "The edge's version cannot do that.",
}

var statusAdvice = map[int]string{
	http.StatusUnauthorized:       "Give a token with --token or AIRLOOM_TOKEN (`airloom token` makes one).",
	http.StatusForbidden:          "Give a token that allows this with --token or AIRLOOM_TOKEN (`airloom token` makes one).",
	http.StatusNotFound:           "Is --url an airloom edge, and the name right?",
	http.StatusTooManyRequests:    "Wait a little and try again.",
	http.StatusServiceUnavailable: "The edge is busy or cannot reach NATS: try again; `airloom doctor` looks.",
	http.StatusBadGateway:         "The edge behind --url does not answer its proxy.",
}
