package edge

import (
	"testing"
	"time"
)

// A socket that is slower than the rate fills its ring, and nothing waits at that moment: the place stays where it is.
func TestFullRingKeepsThePlace(t *testing.T) {
	p := newPlayer(&hub{}, &conn{}, place{}, 1)
	p.wind(1 << 40)
	p.order = newOrder(0)
	place := time.Now().UnixNano()
	p.horizon = place
	for p.room() > 2 {
		p.push([]byte{0})
	}
	p.give(t.Context(), nanotime())
	if p.horizon != place {
		t.Errorf("the place went from %d to %d", place, p.horizon)
	}
}

// A place before 1970, or in a year that JSON does not have, is told while the log does not answer, as any other.
func TestPlacesFarAwayAreTold(t *testing.T) {
	for _, from := range []string{
		"0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "1600-01-01T00:00:00Z", "-2562047h47m16s",
	} {
		where, why := parsePlace(from, time.Now())
		if why != nil {
			t.Fatalf("%s: %v", from, why)
		}
		p := newPlayer(&hub{}, &conn{}, where, 1)
		text(p.playback(stateWaiting, time.Now()))
		if at := where.at; at.UnixNano() < 0 || !time.Unix(0, at.UnixNano()).Equal(at) {
			t.Errorf("%s is %v, %d ns", from, at, at.UnixNano())
		}
	}
}

// Where a listener is belongs to its socket: a seek whose answer was lost with a socket, and that is said again on the next
// one, is done there.
func TestSeekIsSaidAgainOnTheNextSocket(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 49)
	s.speaker.waitAck(s.track.Track, 0, 49)
	first, w := s.join("hall", "late", fields{"listen": false})
	first.requestAs(1000, "listen", fields{"on": true, "from": "start", "rate": 16})
	first.playback(stateLive)
	next, _ := s.join("hall", "late", fields{"listen": false, "resume": w.Resume})
	next.requestAs(1000, "listen", fields{"on": true, "from": "start", "rate": 16})
	next.playback(stateLive)
	wholeFrom(t, "the next socket", next.frames(s.track.Handle), 0, 49)
	next.requestAs(1000, "listen", fields{"on": true, "from": "start", "rate": 16}) // on the same one it is not done twice
	s.say(50, 59)
	until(t, "live goes on", func() bool { return len(next.frames(s.track.Handle)) >= 60 })
	wholeFrom(t, "the next socket", next.frames(s.track.Handle), 0, 59)
}
