package edge

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"airloom/internal/frame"
)

// waitingForAcks counts the goroutines that wait for a track's acks.
func waitingForAcks() int {
	stacks := make([]byte, 4<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "edge.(*track).await(")
}

// However often a speaker asks for an end while the log is away: each is answered, and one waits for the log.
func TestManyEndsOfATrackWhileTheLogIsAway(t *testing.T) {
	s := newStage(t)
	mend := s.h.breakLog()
	s.say(0, 9)
	s.speaker.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	for range 15 {
		s.speaker.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 9})
	}
	until(t, "the end waits for the log", func() bool { return waitingForAcks() > 0 })
	if n := waitingForAcks(); n != 1 {
		t.Errorf("%d goroutines wait for one track's end", n)
	}
	mend()
	until(t, "track.ended is in the log", func() bool { return ended(t, s) })
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// A speaker that never sends what it ended with does not keep its track open for ever once the log is back.
func TestEndWhoseFramesNeverCome(t *testing.T) {
	h := newHouse(t)
	d := h.edge(func(e *Edge) { e.limits.end = 300 * time.Millisecond })
	s := &stage{door: d, t: t}
	s.speaker, _ = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	mend := h.breakLog()
	s.say(0, 9)
	s.speaker.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	s.speaker.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 99})
	began := time.Now()
	until(t, "the end has waited three times its time", func() bool { return time.Since(began) > 3*d.limits.end })
	if ended(t, s) {
		t.Fatal("the track ended while the log was away")
	}
	mend()
	until(t, "track.ended is in the log", func() bool { return ended(t, s) })
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// A speaker that has lost its socket has yet to send what is missing: its track does not end before it is back.
func TestEndOfATrackWhoseSpeakerIsAway(t *testing.T) {
	h := newHouse(t)
	d := h.edge(func(e *Edge) { e.limits.end = 200 * time.Millisecond })
	s := &stage{door: d, t: t}
	var welcome *inMessage
	s.speaker, welcome = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	s.say(0, 9)
	session := d.session("hall", welcome.Session)
	s.speaker.request("track.end", fields{"track": s.track.Track, "epoch": 0, "last": 19})
	until(t, "the end waits", func() bool { return waitingForAcks() > 0 })
	s.speaker.c.Close()
	until(t, "the socket is gone", func() bool { return !session.hasSocket() })
	began := time.Now()
	until(t, "the end has waited five times its time", func() bool { return time.Since(began) > 5*d.limits.end })
	if ended(t, s) {
		t.Fatal("the track ended while its speaker was away")
	}
	back, _ := d.join("hall", "speaker", fields{"resume": welcome.Resume})
	for seq := uint32(10); seq < 20; seq++ {
		back.sendAudio(audio(t, s.track.Handle, 0, seq, 1, frame.Backlog))
	}
	back.waitAck(s.track.Track, 0, 19)
	until(t, "track.ended is in the log", func() bool { return ended(t, s) })
}

// A speaker sends a long backlog while its track's end waits: as long as acks move, the track does not end, and nothing of it is dropped.
func TestEndWhileTheBacklogIsStillSent(t *testing.T) {
	h := newHouse(t)
	d := h.edge(func(e *Edge) { e.limits.end = time.Second })
	s := &stage{door: d, t: t}
	s.speaker, _ = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	const frames = 1000
	s.speaker.request("track.end", fields{"track": s.track.Track, "epoch": 0, "last": frames - 1})
	until(t, "the end waits", func() bool { return waitingForAcks() > 0 })
	for began, seq := time.Now(), uint32(0); seq < frames; seq += 10 {
		s.speaker.sendAudio(audio(t, s.track.Handle, 0, seq, 10, frame.Backlog))
		if time.Since(began) < 3*d.limits.end { // each ack takes a tenth of a second
			s.speaker.waitAck(s.track.Track, 0, int64(seq)+9)
		}
	}
	s.speaker.waitAck(s.track.Track, 0, frames-1)
	until(t, "track.ended is in the log", func() bool { return ended(t, s) })
}
