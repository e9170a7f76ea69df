package edge

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// roster is the room as a peer has been told: full rosters replace, others amend.
func (p *peer) roster() map[string]room.Participant {
	p.mu.Lock()
	defer p.mu.Unlock()
	people := map[string]room.Participant{}
	apply := func(full bool, entries []room.Participant, gone []string) {
		if full {
			clear(people)
		}
		for _, one := range entries {
			people[one.Session] = one
		}
		for _, id := range gone {
			delete(people, id)
		}
	}
	for _, m := range p.inbox {
		switch m.Type {
		case "welcome":
			var entries []room.Participant
			for _, raw := range m.Roster.Participants {
				var one room.Participant
				if err := json.Unmarshal(raw, &one); err != nil {
					p.t.Fatal(err)
				}
				entries = append(entries, one)
			}
			apply(true, entries, nil)
		case "roster":
			apply(m.Full, m.Participants, m.Gone)
		}
	}
	return people
}

func TestRosterFollowsTheRoom(t *testing.T) {
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	watch, _ := d.join("hall", "watch", nil)
	p, w := e.join("hall", "speaker", fields{"name": "Ada"})
	entry := func(met func(room.Participant) bool) func() bool {
		return func() bool { one, ok := watch.roster()[w.Session]; return ok && met(one) }
	}
	until(t, "she is in", entry(func(one room.Participant) bool { return one.Name == "Ada" && one.Identity == "speaker" && !one.Away }))
	track := p.track()
	until(t, "her track is there", entry(func(one room.Participant) bool { return len(one.Tracks) == 1 && one.Tracks[0].Handle == track.Handle }))
	for _, muted := range []bool{true, false} {
		p.must("ok", "track.mute", fields{"track": track.Track, "muted": muted})
		p.must("ok", "track.mute", fields{"track": track.Track, "muted": muted}) // it is so already
		until(t, "mute shows", entry(func(one room.Participant) bool { return one.Tracks[0].Muted == muted }))
	}
	p.must("ok", "track.end", fields{"track": track.Track, "epoch": 0, "last": -1})
	until(t, "the track is over", entry(func(one room.Participant) bool { return len(one.Tracks) == 0 }))
	p.must("ok", "leave", nil)
	p.endsWith(1000)
	until(t, "she is gone", func() bool { return len(watch.roster()) == 1 })
}

// A roster larger than a text message may be comes in pieces that make up the whole.
func TestLargeRoster(t *testing.T) {
	d := newHouse(t).edge(nil)
	const people = 400
	for i := range people {
		fact := room.Joined{Session: fmt.Sprintf("s%03d", i), Identity: fmt.Sprintf("i%03d", i), Name: fmt.Sprintf("%0200d", i), Edge: "elsewhere"}
		if _, err := d.log.Append(t.Context(), "hall", room.Draft{Fact: fact}, ""); err != nil {
			t.Fatal(err)
		}
	}
	p, _ := d.join("hall", "watch", nil)
	until(t, "all are there", func() bool { return len(p.roster()) == people+1 })
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.inbox {
		if b, _ := json.Marshal(m); len(b) > maxControlText {
			t.Errorf("a message of %d bytes", len(b))
		}
	}
}

func TestSpeaking(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	said := func(on bool) func(*inMessage) bool {
		return func(m *inMessage) bool {
			var tracks map[string]bool
			return m.Type == "speaking" && json.Unmarshal(m.Tracks, &tracks) == nil && tracks[s.track.Track] == on && len(tracks) == 1
		}
	}
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 1, frame.Voice))
	s.listener.find("she speaks", said(true))
	late, _ := s.join("hall", "late", nil)
	late.find("she speaks, for one who comes late", said(true))
	s.listener.find("she has ceased", said(false)) // half a second without voice
}

// The word that she ceased was lost with her edge: it lapses.
func TestSpeakingLapses(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.speaking = 300 * time.Millisecond })
	watch, _ := d.join("hall", "watch", nil)
	p, _ := d.join("hall", "speaker", nil)
	track := p.track()
	d.hub("hall").speaks(track.Track, true)
	watch.find("lapse", func(m *inMessage) bool {
		var tracks map[string]bool
		on, ok := false, false
		if m.Type == "speaking" && json.Unmarshal(m.Tracks, &tracks) == nil {
			on, ok = tracks[track.Track]
		}
		return ok && !on
	})
}

// Thirty joins race over two edges for ten seats.
func TestCapacityOverTwoEdges(t *testing.T) {
	h := newHouse(t)
	edges := []*door{h.edge(nil), h.edge(nil)}
	const seats, want = 10, 30
	edges[0].set("hall", room.Settings{Keep: room.KeepNone, Capacity: seats, Speak: room.SpeakGranted})
	peers := make([]*peer, want)
	for i := range peers {
		peers[i] = edges[i%2].dial()
	}
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { p.request("hello", helloFields("hall", h.token(fmt.Sprintf("p%d", i), nil), nil)) })
	}
	wg.Wait()
	in := 0
	for _, p := range peers {
		m := p.find("an answer", func(m *inMessage) bool { return m.Re == 1 })
		switch {
		case m.Type == "welcome":
			in++
		case m.Code == "room_full":
			p.endsWith(4423)
		default:
			t.Errorf("answered with %+v", *m)
		}
	}
	if in != seats {
		t.Errorf("%d of %d seats are taken", in, seats)
	}
	until(t, "those without a seat have left", func() bool { s := edges[0].state("hall"); return s.Occupied() == seats && len(s.Sessions) == seats })
}

func TestReplacedOnAnotherEdge(t *testing.T) {
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	old, w := d.join("hall", "ada", nil)
	track := old.track()
	_, now := e.join("hall", "ada", nil)
	old.find("replaced", func(m *inMessage) bool { return m.Code == "replaced" && m.Fatal })
	old.endsWith(4409)
	until(t, "the older one has left", func() bool {
		s := e.state("hall")
		return s.Sessions[w.Session] == nil && s.Sessions[now.Session] != nil && s.Tracks[track.Track].Ended
	})
}

func TestLeaveEndsAll(t *testing.T) {
	s := newStage(t)
	s.say(0, 3)
	s.speaker.must("ok", "leave", nil)
	s.speaker.endsWith(1000)
	until(t, "frames are in the log", func() bool { return s.logged() == 4 })
	until(t, "the edge has forgotten the session", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.tracks) == 0 && len(s.sockets) == 1
	})
}

func TestKeepNoneKeepsNothing(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	d.set("hall", room.Settings{Keep: room.KeepNone, Speak: room.SpeakGranted})
	listener, _ := d.join("hall", "listener", nil)
	p, _ := d.join("hall", "speaker", nil)
	track := p.track()
	for seq := range uint32(30) {
		p.sendAudio(audio(t, track.Handle, 0, seq, 1, 0))
	}
	until(t, "all are heard", func() bool { return len(listener.heard()) == 30 })
	p.must("ok", "track.end", fields{"track": track.Track, "epoch": 0, "last": 29}) // waits for no ack
	if n := p.acked(track.Track, 0); n != -1 {
		t.Errorf("ack %d of what is not kept", n)
	}
	if n := len(d.logMessages(t)); n != 0 {
		t.Errorf("%d messages are in the log", n)
	}
}

func TestKeepChangesWhileLive(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	keep := func(k room.Keep) {
		s.set("hall", room.Settings{Keep: k, Speak: room.SpeakGranted})
		s.speaker.find("the room's news", func(m *inMessage) bool {
			var info room.Info
			return m.Type == "room" && json.Unmarshal(m.Room, &info) == nil && info.Keep == k
		})
	}
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	keep(room.KeepNone)
	s.say(10, 19)
	until(t, "heard", func() bool { return len(s.listener.heard()) == 20 })
	keep(room.KeepRecord)
	s.say(20, 29)
	s.speaker.waitAck(s.track.Track, 0, 29)
	frames := s.packs(t, "hall", s.track.Track)
	for seq := range uint32(30) {
		if want := seq < 10 || seq >= 20; want != (frames[seq] != nil) {
			t.Errorf("seq %d in the log: %v", seq, !want)
		}
	}
}

func TestTrackEndWaitsForAcks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 4)
	id := s.speaker.request("track.end", fields{"track": s.track.Track, "epoch": 0, "last": 6})
	s.speaker.waitAck(s.track.Track, 0, 4)
	ended := func(m *inMessage) bool { return m.Re == id }
	s.speaker.stays()
	if s.speaker.count(ended) != 0 {
		t.Fatal("ended before all was there")
	}
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 5, 1, 0))
	s.speaker.must("ok", "gap", fields{"track": s.track.Track, "epoch": 0, "from": 6, "to": 6})
	if m := s.speaker.find("ok", ended); m.Type != "ok" {
		t.Fatalf("answered with %+v", *m)
	}
	s.speaker.waitAck(s.track.Track, 0, 6)
	got := s.state("hall").Tracks[s.track.Track]
	if !got.EndKnown || got.Last != 6 || len(got.Gaps) != 1 {
		t.Errorf("track %+v", got)
	}
}

func TestTooManyTracks(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, _ := d.join("hall", "a", nil)
	for range room.MaxTracks {
		p.track()
	}
	p.refused("too_many_tracks", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
	p.stays()
}

// Draining: no new sockets, those there are told to move and closed with 1012, and what is packed is in the log.
func TestDrain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 3)
	until(t, "the frames are taken", func() bool { return s.metrics.framesIn.Load() == 4 })
	s.stop()
	s.speaker.findType("move")
	s.speaker.endsWith(1012)
	s.listener.endsWith(1012)
	if n := s.logged(); n != 4 {
		t.Errorf("%d of 4 frames are in the log", n)
	}
	if err := s.Ready(); err == nil {
		t.Error("a drained edge is ready")
	}
}
