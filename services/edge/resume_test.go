package edge

import (
	"encoding/json"
	"sync"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/room"
)

func TestResumeOnTheSameEdge(t *testing.T) {
	s := newStage(t)
	w := s.speaker.findType("welcome")
	s.say(0, 14)
	s.speaker.waitAck(s.track.Track, 0, 14)
	s.speaker.c.Close()
	p, again := s.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": s.track.Track, "epoch": 0, "acked": 9}}})
	if !again.Resumed || again.Session != w.Session || again.Resume != w.Resume {
		t.Fatalf("welcome %+v", *again)
	}
	var own []ownTrack
	if err := json.Unmarshal(again.Tracks, &own); err != nil || len(own) != 1 || own[0].Handle != s.track.Handle || own[0].Acked != 14 {
		t.Errorf("own tracks %s (%v)", again.Tracks, err)
	}
	s.speaker = p
	s.say(15, 19)
	p.waitAck(s.track.Track, 0, 19)
}

// A speaker that comes back may have seen more acked than this edge has, by another one or behind an earlier hello; it cannot send that again.
func TestResumeOnAnEdgeThatHasLess(t *testing.T) {
	s := newStage(t)
	w := s.speaker.findType("welcome")
	s.say(0, 4)
	s.say(10, 14)
	s.speaker.waitAck(s.track.Track, 0, 4)
	s.speaker.c.Close()
	said := []fields{{"track": "nobodys", "epoch": 0, "acked": 7}, {"track": s.track.Track, "epoch": 9, "acked": 7}, {"track": s.track.Track, "epoch": 0, "acked": 9}}
	p, again := s.join("hall", "speaker", fields{"resume": w.Resume, "tracks": said})
	if !again.Resumed {
		t.Fatalf("welcome %+v", *again)
	}
	s.speaker = p
	s.say(15, 19)
	p.waitAck(s.track.Track, 0, 19)
}

// A move to another edge: two sockets overlap, the tracks go on, what was not acked is sent again as backlog and acked, and
// nobody who listens hears it a second time. A gap declared before the move counts after it.
func TestResumeOnAnotherEdge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	listener, _ := e.join("hall", "listener", nil)
	p, w := d.join("hall", "speaker", nil)
	track := p.track()
	p.must("ok", "track.mute", fields{"track": track.Track, "muted": true})
	for seq := range uint32(20) {
		p.sendAudio(audio(t, track.Handle, 0, seq, 1, 0))
	}
	p.must("ok", "gap", fields{"track": track.Track, "epoch": 0, "from": 20, "to": 24})
	p.waitAck(track.Track, 0, 24)

	q, again := e.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": track.Track, "epoch": 0, "acked": 9}}})
	if !again.Resumed || again.Session != w.Session || again.At == w.At {
		t.Fatalf("welcome %+v", *again)
	}
	var own []ownTrack
	if err := json.Unmarshal(again.Tracks, &own); err != nil || len(own) != 1 || own[0].Acked != 9 || !own[0].Muted || own[0].Track != track.Track {
		t.Fatalf("own tracks %s (%v)", again.Tracks, err)
	}
	p.endsWith(1000) // the old socket: moved
	q.sendAudio(audio(t, track.Handle, 0, 25, 1, 0))
	q.sendAudio(audio(t, track.Handle, 0, 10, 10, frame.Backlog))
	q.waitAck(track.Track, 0, 25)
	until(t, "the listener has all", func() bool { return len(listener.heard()) == 21 })
	listener.stays()
	if n := len(listener.heard()); n != 21 {
		t.Errorf("%d packets are heard", n)
	}
	q.must("ok", "track.end", fields{"track": track.Track, "epoch": 0, "last": 25})
	if frames := e.packs(t, "hall", track.Track); len(frames) != 21 {
		t.Errorf("%d frames are in the log", len(frames))
	}
}

// The speaker counts its epochs by itself, and tells several of them when it moves.
func TestResumeWithEpochs(t *testing.T) {
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	p, w := d.join("hall", "speaker", nil)
	track := p.track()
	said := []fields{{"track": track.Track, "epoch": 0, "acked": 4}, {"track": track.Track, "epoch": 3, "acked": -1}, {"track": "nobodys", "epoch": 9, "acked": 7}}
	q, _ := e.join("hall", "speaker", fields{"resume": w.Resume, "tracks": said})
	q.sendAudio(audio(t, track.Handle, 3, 0, 1, 0))
	q.sendAudio(audio(t, track.Handle, 0, 5, 5, frame.Backlog))
	q.waitAck(track.Track, 3, 0)
	q.waitAck(track.Track, 0, 9)
	// Row 53: more than was ever sent.
	r, _ := d.join("hall", "speaker", fields{"resume": w.Resume, "tracks": []fields{{"track": track.Track, "epoch": 3, "acked": 1 << 31}}})
	r.sendAudio(audio(t, track.Handle, 3, 1<<31+1, 1, 0))
	r.waitAck(track.Track, 3, 1<<31+1)
	r.stays()
}

// Many sockets resume one session at once, on an edge that does not have it yet: they come to the same one, with its tracks.
func TestResumeRace(t *testing.T) {
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	p, w := d.join("hall", "speaker", nil)
	track := p.track()
	token := h.token("speaker", nil)
	peers := []*peer{e.dial(), e.dial()}
	var wg sync.WaitGroup
	for _, q := range peers {
		wg.Go(func() { q.request("hello", helloFields("hall", token, fields{"resume": w.Resume})) })
	}
	wg.Wait()
	for _, q := range peers {
		if m := q.findType("welcome"); m.Session != w.Session || string(m.Tracks) == "[]" {
			t.Errorf("welcome %+v", *m)
		}
	}
	peers[1].sendAudio(audio(t, track.Handle, 0, 0, 1, 0))
	until(t, "acked", func() bool { return peers[0].acked(track.Track, 0) == 0 || peers[1].acked(track.Track, 0) == 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.tracks) != 1 {
		t.Errorf("the edge has %d tracks", len(e.tracks))
	}
}

// A third socket of a session is no move: the oldest goes.
func TestThirdSocket(t *testing.T) {
	d := newHouse(t).edge(nil)
	first, w := d.join("hall", "a", nil)
	second, _ := d.join("hall", "a", fields{"resume": w.Resume})
	third, _ := d.join("hall", "a", fields{"resume": w.Resume})
	first.endsWith(4409)
	second.stays()
	third.stays()
}

// The socket comes back while the loss is on its way into the log: the session must not stay away.
func TestBackWhileTheLossIsAppended(t *testing.T) {
	d := newHouse(t).edge(nil)
	_, w := d.join("hall", "a", nil)
	d.decide("hall", func(s *room.State) (room.Draft, error) { return s.Lose(w.Session, d.id, room.SocketLost) })
	until(t, "it is back", func() bool {
		s := d.state("hall").Sessions[w.Session]
		return s != nil && !s.Away && s.LastEdge == d.id && d.state("hall").LastOn("session", w.Session) > 2
	})
}

// An edge that was taken for dead lets go of its sessions.
func TestTakenForDead(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, w := d.join("hall", "a", nil)
	d.decide("hall", func(s *room.State) (room.Draft, error) { return s.Lose(w.Session, d.id, room.EdgeLost) })
	p.endsWith(1012)
	_, again := d.join("hall", "a", fields{"resume": w.Resume})
	if !again.Resumed {
		t.Error("not resumed")
	}
}
