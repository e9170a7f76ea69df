package rest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"airloom/internal/auth"
	"airloom/internal/eventlog"
	"airloom/internal/problem"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// right is what a caller must be allowed to, with the words for one who is not.
type right struct {
	words string
	has   func(auth.Grants) bool
}

var (
	anyRight = right{"any right", auth.Grants.Any}
	moderate = right{"the moderate right", func(g auth.Grants) bool { return g.Moderate }}
	record   = right{"the record right", func(g auth.Grants) bool { return g.Record }}
	// replay is for recordings: to have heard a room live does not allow to take its sound away.
	replay = right{"the record or moderate right", func(g auth.Grants) bool { return g.Record || g.Moderate }}
	mint   = right{"the mint right", func(g auth.Grants) bool { return g.Mint }}
)

// bearer checks the token that came with the request.
func (d *door) bearer(r *http.Request) (auth.Claims, error) {
	sent := r.Header["Authorization"]
	if len(sent) == 0 {
		return auth.Claims{}, unauthorized("Send a token: Authorization: Bearer …; `airloom token` makes one.")
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if len(sent) != 1 || !strings.EqualFold(scheme, "Bearer") {
		return auth.Claims{}, unauthorized("Send one Authorization header, of the form Bearer TOKEN.")
	}
	claims, err := d.cfg.Keys.Verify(strings.TrimSpace(token), time.Now())
	if err != nil {
		return auth.Claims{}, unauthorized(sentence(err)).With("WWW-Authenticate", `Bearer realm="airloom", error="invalid_token"`).Because(err)
	}
	return claims, nil
}

func unauthorized(words string) *problem.Problem {
	return problem.New(http.StatusUnauthorized, "unauthorized", words).With("WWW-Authenticate", `Bearer realm="airloom"`)
}

// caller checks the token and that it grants a right, in whatever room.
func (d *door) caller(r *http.Request, need right) (auth.Claims, error) {
	claims, err := d.bearer(r)
	if err != nil {
		return auth.Claims{}, err
	}
	if !need.has(claims.Grants) {
		return auth.Claims{}, problem.New(http.StatusForbidden, "forbidden", "Your token does not have %s.", need.words)
	}
	return claims, nil
}

// admit checks the token, the room's name and that the token grants a right in it.
func (d *door) admit(r *http.Request, roomName string, need right) (auth.Claims, error) {
	claims, err := d.caller(r, need)
	if err != nil {
		return auth.Claims{}, err
	}
	if err := subject.Room(roomName); err != nil {
		return auth.Claims{}, problem.New(http.StatusBadRequest, "bad_room", sentence(err)).Because(err)
	}
	if err := claims.For(roomName); err != nil {
		return auth.Claims{}, problem.New(http.StatusForbidden, "forbidden", sentence(err)).Because(err)
	}
	return claims, nil
}

// refuse turns what the domain, the log or a service says into a problem.
func refuse(err error) error {
	var refused *query.Refused
	switch {
	case errors.As(err, new(*problem.Problem)):
		return err
	case errors.Is(err, room.ErrUnknownSession):
		return problem.New(http.StatusNotFound, "no_such_session", "Nobody with that session is in the room.").Because(err)
	case errors.Is(err, room.ErrClosed):
		return problem.New(http.StatusConflict, "room_closed", "The room is closed; POST /v1/rooms (or `airloom room create`) opens it again.").Because(err)
	case errors.Is(err, room.ErrForbidden):
		return problem.New(http.StatusConflict, "keep_none", "The room keeps nothing (keep: none), so it cannot be recorded; change its settings first.").Because(err)
	case errors.Is(err, room.ErrStopping):
		return problem.New(http.StatusConflict, "recording_stops", "The recording before it is just being stopped: try again.").With("Retry-After", "1").Because(err)
	case errors.Is(err, eventlog.ErrAway), errors.Is(err, eventlog.ErrConflict):
		return away("log_away", "The event log does not answer at the moment: try again.").Because(err)
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return problem.New(http.StatusNotFound, "not_found", sentence(refused)).Because(err)
	case errors.As(err, &refused) && refused.Status/100 == 4:
		return problem.New(http.StatusBadRequest, "bad_request", sentence(refused)).Because(err)
	case errors.As(err, &refused):
		return away("no_answer", sentence(refused)).Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return away("no_answer", "There was no answer in time: try again.").Because(err)
	default:
		return err
	}
}

// unanswered says which service is missing, else as refuse.
func unanswered(err error, service string) error {
	switch {
	case errors.Is(err, query.ErrNobody):
		return away("no_"+service, "No %s service is running: start `airloom %s` (or `airloom up`, which has all).", service, service).Because(err)
	case errors.Is(err, query.ErrSilent):
		return away("no_answer", "The %s service does not answer at the moment: try again.", service).Because(err)
	default:
		return refuse(err)
	}
}

func away(code, words string, args ...any) *problem.Problem {
	return problem.New(http.StatusServiceUnavailable, code, words, args...).With("Retry-After", "1")
}

// sentence makes an error's text one for a person.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
