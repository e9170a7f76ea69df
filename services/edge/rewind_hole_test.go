package edge

import (
	"testing"
	"time"
)

// Row 92: the log's clock is an hour behind the edge's, or ahead of it. A hole at the log's head is waited for all the same, and told when
// the log has gone on for long enough by its own clock, or the edge has known of it for long enough by its own.
func TestRow92HolesAndTwoClocks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	hub := s.hub("hall")
	patience := s.limits.hole
	for name, c := range map[string]struct {
		ahead, known, on time.Duration // the log's clock; how long the edge knows of the hole; how long the log has gone on
		told             bool
	}{
		"behind, just read":      {ahead: -time.Hour},
		"behind, gone on a bit":  {ahead: -time.Hour, known: patience / 2, on: patience / 2},
		"behind, gone on":        {ahead: -time.Hour, on: patience, told: true},
		"ahead, just read":       {ahead: time.Hour},
		"ahead, known for long":  {ahead: time.Hour, known: patience, told: true},
		"behind, known for long": {ahead: -time.Hour, known: patience, told: true},
	} {
		now, at := nanotime(), time.Now().Add(c.ahead)
		p := newPlayer(hub, &conn{}, place{kind: fromStart}, 1)
		p.wind(0)
		p.order, p.head = newOrder(0), true
		var l *lane
		for i, seq := range []uint32{0, 20} {
			for _, piece := range logged(t, s.track.Track, uint64(i+1), at, audio(t, s.track.Handle, 0, seq, 10, 0)) {
				piece.came = now - int64(c.known)
				l = p.order.add(piece)
			}
		}
		p.order.take(l)
		p.fed = at.Add(c.on).UnixNano()
		p.bridge(t.Context(), l, now)
		if told := !l.parked && l.joins(); told != c.told {
			t.Errorf("%s: told %v", name, told)
		}
	}
}
