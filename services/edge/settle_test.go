package edge

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/room"
)

// deafCarrier is NATS, but for the log's answers while it is deaf: those are lost.
type deafCarrier struct {
	carrier
	deaf *atomic.Bool
}

func (c deafCarrier) Replies(subject string, f func(*nats.Msg)) (stop func(), err error) {
	return c.carrier.Replies(subject, func(msg *nats.Msg) {
		if !c.deaf.Load() {
			f(msg)
		}
	})
}

// deafStage is one whose PubAcks are lost once it is told so.
func deafStage(t *testing.T) (*stage, *atomic.Bool) {
	t.Helper()
	deaf := new(atomic.Bool)
	d := newHouse(t).edge(func(e *Edge) { e.outbox.log = deafCarrier{e.outbox.log, deaf} })
	s := &stage{door: d, t: t}
	s.speaker, _ = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	return s, deaf
}

// ends closes a track as its edge and a recorder do.
func (s *stage) ends(last int64) {
	s.t.Helper()
	s.decide("hall", func(st *room.State) (room.Draft, error) {
		return st.EndTrack(room.TrackEnded{Track: s.track.Track, Last: last})
	})
}

func (s *stage) closes(through uint64) {
	s.t.Helper()
	s.decide("hall", func(st *room.State) (room.Draft, error) { return st.CloseTrack(s.track.Track, through) })
}

// isTold waits for the edge's last word on a track.
func (p *peer) isTold(t *testing.T, acked, kept int64) {
	t.Helper()
	if m := p.findType("closed"); m.Acked != acked || m.Kept != kept {
		t.Errorf("closed with %d acked and %d kept, want %d and %d", m.Acked, m.Kept, acked, kept)
	}
}

// A recorder has all of a track in its log and closes it, while the speaker's edge still waits for PubAcks that are lost: the edge looks, and
// acks what counts.
func TestClosingFindsWhatLostItsPubAck(t *testing.T) {
	t.Parallel()
	s, deaf := deafStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	deaf.Store(true)
	s.say(10, 29)
	until(t, "stored", func() bool { return s.lastLogged() >= 3 })
	s.ends(29)
	s.closes(s.lastLogged())
	s.speaker.waitAck(s.track.Track, 0, 29)
	s.speaker.isTold(t, 29, 30)
	until(t, "nothing waits", s.outbox.empty)
}

// What is not in the log, or lies behind the closing, is never acked, and the speaker is told how much that is.
func TestClosingTellsWhatIsNotKept(t *testing.T) {
	t.Parallel()
	s, deaf := deafStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	through := s.lastLogged()
	deaf.Store(true)
	s.say(10, 19)
	until(t, "stored", func() bool { return s.lastLogged() > through })
	s.ends(24)
	s.closes(through)
	s.speaker.isTold(t, 9, 10)
	if n := s.speaker.acked(s.track.Track, 0); n != 9 {
		t.Errorf("acked up to %d, the recording has up to 9", n)
	}
}

// Of a track that is closed the replicas that answer lack a pack. Its speaker is not told that it is lost while one is away that may have it,
// nor while one has it that seldom answers; what is surely lost it is told.
func TestClosingIsToldOnceItIsSure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		before, after bus.Stand
		rarely        int64 // of so many reads one is answered by the replica that has it; 0: none
		acked, kept   int64
	}{
		"away, then back":     {bus.Stand{Count: 4, Last: 5}, bus.Stand{Count: 4, Last: 5, Current: true}, 1, 49, 50},
		"away, and lost":      {bus.Stand{Count: 4, Last: 5}, bus.Stand{Count: 4, Last: 5, Current: true}, 0, 19, 40},
		"the leader has it":   {bus.Stand{Count: 5, Last: 4}, bus.Stand{Count: 5, Last: 5, Whole: true}, 23, 49, 50},
		"the leader has less": {bus.Stand{Count: 4, Last: 5}, bus.Stand{Count: 4, Last: 5, Whole: true}, 0, 19, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sure atomic.Bool
			var asked atomic.Int64
			tape, _ := wornLog(t, packsOf(t, 5), 1000, func(try int64, at int) wear {
				if at == 3 && !(sure.Load() && c.rarely > 0 && try%c.rarely == 0) {
					return lacking
				}
				return sound
			})
			standsAs(t, tape, func() bus.Stand {
				asked.Add(1)
				if sure.Load() {
					return c.after
				}
				return c.before
			})
			deaf := new(atomic.Bool)
			deaf.Store(true)
			s := &stage{door: newHouse(t).edge(func(e *Edge) { e.outbox.log, e.tape = deafCarrier{e.outbox.log, deaf}, tape }), t: t}
			s.speaker, _ = s.join("hall", "speaker", nil)
			s.track = s.speaker.track()
			s.say(0, 49)
			until(t, "stored", func() bool { return s.lastLogged() == 5 })
			s.ends(49)
			s.closes(5)
			until(t, "it is looked for", func() bool { return asked.Load() >= 4 })
			if s.speaker.count(func(m *inMessage) bool { return m.Type == "closed" }) > 0 {
				t.Error("told while one is away that may have it")
			}
			sure.Store(true)
			within(t, 30*time.Second, "it is told", func() bool { return s.speaker.count(func(m *inMessage) bool { return m.Type == "closed" }) > 0 })
			s.speaker.isTold(t, c.acked, c.kept)
		})
	}
}

// While the log's leader cannot say how the log stands, a track is not read again and again: nothing would follow from it.
func TestClosingReadsNothingWithoutTheLeadersWord(t *testing.T) {
	t.Parallel()
	var leads atomic.Bool
	var stood atomic.Int64
	tape, reads := wornLog(t, packsOf(t, 5), 1000, func(_ int64, at int) wear {
		if at == 3 {
			return lacking
		}
		return sound
	})
	standsAs(t, tape, func() bus.Stand {
		stood.Add(1)
		if leads.Load() {
			return bus.Stand{Count: 4, Last: 5, Whole: true}
		}
		return bus.Stand{Count: 4, Last: 4, Whole: true} // was just chosen, and has not all yet
	})
	deaf := new(atomic.Bool)
	deaf.Store(true)
	s := &stage{door: newHouse(t).edge(func(e *Edge) { e.outbox.log, e.tape = deafCarrier{e.outbox.log, deaf}, tape }), t: t}
	s.speaker, _ = s.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	s.say(0, 49)
	until(t, "stored", func() bool { return s.lastLogged() == 5 })
	s.ends(49)
	s.closes(5)
	until(t, "the leader is asked three times", func() bool { return stood.Load() >= 5 })
	if n := reads.Load(); n > 2 { // nearby, from two places
		t.Errorf("the log was asked %d times", n)
	}
	leads.Store(true)
	within(t, 30*time.Second, "it is told", func() bool { return s.speaker.count(func(m *inMessage) bool { return m.Type == "closed" }) > 0 })
	s.speaker.isTold(t, 19, 40)
}

// A closing that was not heard counts as well, with all that it says.
func TestMissedClosingAcksWhatItCounts(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr := s.leaseOf()
	until(t, "the first lease", tr.leased)
	h := s.deaf()
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "held", func() bool { return s.heldPacks() == 1 })
	s.ends(9)
	s.closes(s.lastLogged())
	until(t, "the track is settled", func() bool {
		h.renewSoon(true)
		return s.speaker.acked(tr.id, 0) == 9
	})
	s.speaker.isTold(t, 9, 10)
}

// An edge ends a track and dies with the last acks. The next one says what became of it: as soon as it is closed where it is recorded, at
// once where it is not.
func TestTrackThatEndedOnTheEdgeBefore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keep        room.Keep
		last        int64
		acked, kept int64
	}{
		"whole": {room.KeepRecord, 19, 19, 20}, "not whole": {room.KeepRecord, 29, 19, 20}, "not recorded": {room.KeepRewind, 19, 19, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			house := newHouse(t)
			d, e := house.edge(nil), house.edge(nil)
			d.set("hall", room.Settings{Keep: c.keep, Speak: room.SpeakGranted})
			s := &stage{door: d, t: t}
			var w *inMessage
			s.speaker, w = d.join("hall", "speaker", nil)
			s.track = s.speaker.track()
			s.say(0, 19)
			s.speaker.waitAck(s.track.Track, 0, 19)
			s.ends(c.last)
			q, again := e.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": s.track.Track, "epoch": 0, "acked": 4}}})
			if !again.Resumed || !slices.Equal(again.Over, []string{s.track.Track}) || string(again.Tracks) != "[]" {
				t.Fatalf("welcome %+v", *again)
			}
			if c.keep == room.KeepRecord {
				if q.count(func(m *inMessage) bool { return m.Type == "closed" || m.Type == "ack" && m.Seq > 4 }) > 0 {
					t.Error("told before it is closed")
				}
				s.closes(s.lastLogged())
			}
			q.waitAck(s.track.Track, 0, c.acked)
			q.isTold(t, c.acked, c.kept)
		})
	}
}

// A track that is over is told of, also where its speaker has seen all of it acked: it may have sent more than the edge took.
func TestWholeTrackThatEndedOnTheEdgeBefore(t *testing.T) {
	t.Parallel()
	house := newHouse(t)
	d, e := house.edge(nil), house.edge(nil)
	d.set("hall", room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted})
	s, w := d.speaking(t)
	s.say(0, 19)
	s.speaker.waitAck(s.track.Track, 0, 19)
	s.ends(19)
	q, _ := e.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": s.track.Track, "epoch": 0, "acked": 19}}})
	q.isTold(t, 19, 20)
}

// A speaker comes to another edge with a token that does not let it speak. The edge ends its track, and knows no more of it than its speaker: the
// log does.
func TestTrackThatEndsOnAnEdgeThatNeverHeardIt(t *testing.T) {
	t.Parallel()
	house := newHouse(t)
	d, e := house.edge(nil), house.edge(nil)
	s, w := d.speaking(t)
	s.say(0, 19)
	s.speaker.waitAck(s.track.Track, 0, 19)
	mute := house.token("speaker", func(c *auth.Claims) { c.Grants.Speak = false })
	q := e.dial()
	q.hello("hall", mute, fields{"resume": w.Resume, "tracks": []fields{{"track": s.track.Track, "epoch": 0, "acked": 4}}})
	q.isTold(t, 19, 20)
}

// A session moves while its track waits to be ended for a log that is away: the edge before does not end it, for its speaker still sends again
// what is not acked.
func TestTrackIsNotEndedByTheEdgeBefore(t *testing.T) {
	t.Parallel()
	house := newHouse(t)
	d, e := house.edge(nil), house.edge(nil)
	s, w := d.speaking(t)
	mend := house.breakLog()
	s.say(0, 9)
	s.speaker.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	s.speaker.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 19})
	q, _ := e.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": s.track.Track, "epoch": 0, "acked": -1}}})
	s.speaker.endsWith(1000)
	mend()
	q.sendAudio(audio(t, s.track.Handle, 0, 0, 10, frame.Backlog))
	q.waitAck(s.track.Track, 0, 9)
	if e.state("hall").Tracks[s.track.Track].Ended {
		t.Fatal("the track has ended, and ten frames are still to come")
	}
	q.sendAudio(audio(t, s.track.Handle, 0, 10, 10, frame.Backlog))
	q.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 19})
	q.waitAck(s.track.Track, 0, 19)
}

// speaking is somebody who speaks at this door, to nobody yet, and the welcome with which to resume at another one.
func (d *door) speaking(t *testing.T) (s *stage, welcome *inMessage) {
	t.Helper()
	s = &stage{door: d, t: t}
	s.speaker, welcome = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	return s, welcome
}
