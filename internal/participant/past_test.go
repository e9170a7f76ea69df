package participant

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

func pastPacket(t testing.TB, seq int, payloads ...[]byte) []byte {
	t.Helper()
	b, err := frame.AppendAudio(nil, frame.Header{Flags: frame.Backlog, Handle: handle, Seq: uint32(seq), Timestamp: uint32(seq) * 480}, payloads...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A listener that begins in the past asks for its place, goes on where it was when its socket is lost, and hears nothing twice.
func TestListenerKeepsItsPlace(t *testing.T) {
	e := newFakeEdge(t)
	var p *Participant
	joined := make(chan error, 1)
	notices := make(chan Notice, 100)
	go func() {
		var err error
		p, err = Join(t.Context(), Config{
			URL: e.server.URL, Room: "hall", Listen: true, From: "start", Rate: 16, Notice: func(n Notice) { notices <- n },
		})
		joined <- err
	}()
	s := e.accept()
	if s.hello["from"] != "start" || s.hello["rate"] != 16.0 {
		t.Fatalf("hello %v", s.hello)
	}
	s.welcome(nil)
	if err := wait(t, joined, "join"); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	at := time.Date(2026, 11, 20, 12, 0, 0, 5000, time.UTC)
	played := func(s *fakeSocket, state string, at time.Time, more object) {
		m := object{"type": "playback", "state": state, "at": at, "rate": 16, "window": object{"from": at.Add(-time.Hour), "to": at}}
		for k, v := range more {
			m[k] = v
		}
		s.say(m)
	}
	gone := object{"track": trackName, "handle": handle, "name": "mic", "channels": 1, "frame_ms": 10, "identity": "bob", "participant": "Bob"}
	played(s, "past", at, nil)
	played(s, "past", at, object{"tracks": []any{gone}})
	s.send(pastPacket(t, 0, opusFrame(0), opusFrame(1)))
	s.say(object{"type": "skipped", "reason": "gap", "tracks": []any{object{"track": trackName, "epoch": 0, "from": 2, "to": 3}}})
	s.send(pastPacket(t, 4, opusFrame(4)))
	for n := wait(t, notices, "a gap"); n.Kind != Skipped; n = wait(t, notices, "a gap") {
	}
	played(s, "past", at.Add(time.Second), nil)
	for now, _ := p.Playback(); !now.At.Equal(at.Add(time.Second)); now, _ = p.Playback() {
		wait(t, notices, "playback")
	}
	s.close(1001)

	again := e.accept()
	if again.hello["from"] != "2026-11-20T12:00:01.000005Z" || again.hello["resume"] != "secret" {
		t.Fatalf("comes back with %v", again.hello)
	}
	again.welcome(object{"resumed": true})
	played(again, "past", at.Add(time.Second), nil)
	again.send(pastPacket(t, 4, opusFrame(4), opusFrame(5)))
	check := func(frames uint64, ended bool) (ok bool) {
		p.Received(func(r *Receiver) {
			for _, h := range r.Tracks() {
				ok = h.Frames == frames && h.Past == frames && h.Duplicates == 0 && h.Missing() == 2 && h.Ended == ended && h.Identity == "bob" &&
					h.Latency.Count() == 0 && h.Info == (room.TrackInfo{Track: trackName, Handle: handle, Name: "mic", Channels: 1, FrameMS: 10})
			}
		})
		return ok
	}
	again.say(object{"type": "speaking", "tracks": object{}})
	for n := wait(t, notices, "what follows the frames"); n.Kind != SpeakingChanged; n = wait(t, notices, "what follows the frames") {
	}
	if !check(4, false) {
		t.Error("after the frames")
	}
	played(again, "live", at.Add(time.Minute), nil)
	for n := wait(t, notices, "live"); n.Kind != Played || n.Playback.State != "live"; n = wait(t, notices, "live") {
	}
	if !check(4, true) {
		t.Error("what is over has not ended")
	}
	if p.SeekTime() <= 0 {
		t.Error("no time to the first packet")
	}
}

// Going back: what was heard is heard again.
func TestSeekBack(t *testing.T) {
	r := NewReceiver()
	r.InPast(true)
	heard := 0
	r.Deliver = func(*Incoming, Heard) { heard++ }
	r.Message(pastPacket(t, 7, opusFrame(7), opusFrame(8)), 0)
	r.Restart()
	r.Message(pastPacket(t, 3, opusFrame(3), opusFrame(4)), 0)
	r.Message(pastPacket(t, 5, opusFrame(5), opusFrame(6)), 0)
	r.Message(pastPacket(t, 7, opusFrame(7), opusFrame(8)), 0)
	if h := r.Tracks()[0]; heard != 8 || h.Duplicates != 0 || h.Missing() != 0 || h.Frames != 8 {
		t.Errorf("%d delivered, %+v", heard, h)
	}
}

// A hole before anything of a track is heard counts as missing, and what follows is delivered at once.
func TestSkippedBeginning(t *testing.T) {
	r := NewReceiver()
	r.InPast(true)
	heard := 0
	r.Deliver = func(*Incoming, Heard) { heard++ }
	r.Skip(handle, 0, 0, 9)
	if h := r.Tracks()[0]; h.Missing() != 10 {
		t.Errorf("%d missing", h.Missing())
	}
	r.Message(pastPacket(t, 10, opusFrame(10)), 0)
	if h := r.Tracks()[0]; heard != 1 || h.Missing() != 10 || h.Frames != 1 {
		t.Errorf("%d delivered, %d missing of %d", heard, h.Missing(), h.Frames)
	}
}

// During a move two sockets are read: what the old one still says of the place changes nothing, and notices come one at a time.
func TestLateWordsOfTheOldSocket(t *testing.T) {
	states := map[string]int{}
	p, s := joinFake(t, newFakeEdge(t), Config{Listen: true, From: "start", Notice: func(n Notice) {
		if n.Playback != nil {
			states[n.Playback.State]++
		}
	}})
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s.say(pastAt("past", at, nil))
	eventually(t, "it is told", func() bool { now, ok := p.Playback(); return ok && now.At.Equal(at) })
	live, err := json.Marshal(pastAt("live", at.Add(time.Hour), nil))
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() { p.text(&link{}, live) })
	both.Go(func() {
		p.text(p.current(), []byte(`{"type":"playback","state":"waiting","at":"2026-11-20T12:00:00Z"}`))
	})
	both.Go(func() { p.text(p.current(), []byte(`{"type":"speaking","tracks":{}}`)) })
	both.Wait()
	if now, _ := p.Playback(); now.State != "waiting" || !now.At.Equal(at) {
		t.Errorf("the place is %+v", now)
	}
	p.Close()
	if states["live"] != 0 || states["waiting"] != 1 {
		t.Errorf("noticed %v", states)
	}
}
