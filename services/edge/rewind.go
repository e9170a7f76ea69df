package edge

import (
	"math"
	"strings"
	"time"

	"airloom/internal/room"
)

const (
	maxRate  = 16
	firstFor = 2 * time.Second // of sound that comes at once
)

// place is where a listener wants to hear from.
type place struct {
	kind placeKind
	at   time.Time // with fromTime
}

type placeKind uint8

const (
	fromLive placeKind = iota
	fromStart
	fromTime
)

// Places are counted in ns since 1970. Others are none at which a log has anything, and some could not even be told: JSON has no year 10000.
var firstPlace, lastPlace = time.Unix(0, 0).UTC(), time.Unix(0, math.MaxInt64).UTC()

func placeAt(at time.Time) place {
	switch at = at.UTC(); {
	case at.Before(firstPlace):
		at = firstPlace
	case at.After(lastPlace):
		at = lastPlace
	}
	return place{kind: fromTime, at: at}
}

// parsePlace reads a `from` of docs/wire.md section 4.
func parsePlace(s string, now time.Time) (place, *refusal) {
	switch {
	case s == "live":
		return place{}, nil
	case s == "start":
		return place{kind: fromStart}, nil
	case strings.HasPrefix(s, "-"):
		if back, err := time.ParseDuration(s); err == nil && back <= 0 {
			return placeAt(now.Add(back)), nil
		}
	default:
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil {
			return placeAt(at), nil
		}
	}
	return place{}, strike("bad_message", "from is %.40q: use live, start, a duration back from now (-30s) or a time (RFC 3339)", s)
}

// checkRewind reads `from` and `rate`; 0 stands for the rate 1.
func checkRewind(from string, rate float64, now time.Time) (place, float64, *refusal) {
	if rate == 0 {
		rate = 1
	}
	if !(rate >= 1 && rate <= maxRate) {
		return place{}, 0, strike("bad_message", "rate is %g: use 1 to %d", rate, maxRate)
	}
	where, why := parsePlace(from, now)
	return where, rate, why
}

// listen answers a request to listen, or not to.
func (s *socket) listen(session *session, r listenRequest) {
	switch {
	case r.On && !session.grants().Listen:
		s.fail(refuse("forbidden", 0, "this token does not allow listening"), r.ID)
	case !r.On && r.From != "":
		s.strike(strike("bad_message", "from goes with on: true"), closePolicy, r.ID)
	case r.From == "":
		session.hub.listen(s.conn, r.On)
		session.keepDeaf(s.conn)
		s.ok(r.ID)
	default:
		s.rewind(session, r.From, r.Rate, r.ID)
	}
}

// rewind begins to play from another place. Its answer is the first thing that comes from there; re is 0 after a hello.
func (s *socket) rewind(session *session, from string, rate float64, re uint64) {
	where, rate, why := checkRewind(from, rate, time.Now())
	h := session.hub
	switch {
	case why != nil:
		s.strike(why, closePolicy, re)
		return
	case where.kind != fromLive && h.info().Keep == room.KeepNone:
		s.fail(refuse("not_kept", 0, "this room's sound is not kept: there is nothing to rewind to"), re)
		if re == 0 { // a hello wants to hear something in any case
			h.listen(s.conn, true)
		}
		return
	}
	p := newPlayer(h, s.conn, where, rate)
	p.answer = func(m playbackMessage) []byte {
		m.Re = re
		frame := text(m)
		if re != 0 {
			session.requests.finishFor(re, frame, s)
		}
		return frame
	}
	h.play(s.conn, p)
	session.keepDeaf(s.conn)
}

// begin is what a hello that listens asks for.
func (s *socket) begin(session *session, r *helloRequest, resumed bool) {
	switch {
	case r.From != "":
		s.rewind(session, r.From, r.Rate, 0)
	case resumed:
		session.hub.goOn(s.conn)
	default:
		session.hub.listen(s.conn, true)
	}
	session.keepDeaf(s.conn)
}

// place is the hello's `from`, live where it has none.
func (r *helloRequest) place() string {
	if r.From == "" {
		return "live"
	}
	return r.From
}

// tellWindow answers from when to when the room's sound can be heard again.
func (s *socket) tellWindow(session *session, id uint64) {
	w, err := session.hub.windowNow()
	if err != nil {
		s.done(id, err)
		return
	}
	s.answer(id, windowMessage{Type: "window", Re: id, window: w})
}
