package edge

import (
	"encoding/json"
	"testing"
	"time"

	"airloom/internal/auth"
	"airloom/internal/room"
)

// grant gives a session rights as a moderator would, over another edge.
func (d *door) grant(session string, g room.Grants) {
	d.h.t.Helper()
	d.decide("hall", func(s *room.State) (room.Draft, error) { return s.Grant(session, g, "mod") })
}

// isGranted tells a grants message with these rights.
func isGranted(g room.Grants, by string) func(*inMessage) bool {
	return func(m *inMessage) bool { return m.Type == "grants" && m.Grants == g && m.By == by }
}

// ended waits until the log has a track as ended and gives its last seq.
func (d *door) ended(track string) int64 {
	d.h.t.Helper()
	var last int64
	until(d.h.t, "track "+track+" has ended", func() bool {
		known := d.state("hall").Tracks[track]
		last = known.Last
		return known.Ended && known.EndKnown
	})
	return last
}

// Row 42: a moderator takes the right to speak. Within a second nothing more is heard or kept, the track ends where its last frame
// was taken, and the speaker is told, not thrown out.
func TestRow42TakenByAModerator(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	watch, _ := s.join("hall", "watch", nil)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	began := time.Now()
	s.grant(s.speaking(), room.Grants{Listen: true})
	s.speaker.find("grants", isGranted(room.Grants{Listen: true}, "mod"))
	if took := time.Since(began); took > time.Second {
		t.Errorf("told after %v", took)
	}
	s.say(10, 29) // what it sends until it has understood: no strikes
	s.speaker.find("forbidden", func(m *inMessage) bool { return m.Code == "forbidden" && !m.Fatal })
	s.speaker.stays()
	if last := s.ended(s.track.Track); last != 9 {
		t.Errorf("ended with %d", last)
	}
	s.speaker.isTold(t, 9, 10) // it has sent more, and would wait for that
	until(t, "the roster shows it", func() bool {
		one := watch.roster()[s.speaking()]
		return one.Grants == room.Grants{Listen: true} && len(one.Tracks) == 0
	})
	if n := s.speaker.count(func(m *inMessage) bool { return m.Code == "forbidden" }); n != 1 {
		t.Errorf("told %d times", n)
	}
	s.speaker.refused("forbidden", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
	if heard, kept := len(s.listener.heard()), s.logged(); heard != 10 || kept != 10 {
		t.Errorf("%d frames heard, %d kept, of 10", heard, kept)
	}

	s.grant(s.speaking(), room.Grants{Listen: true, Speak: true}) // and given back, without coming again
	s.speaker.find("grants", isGranted(room.Grants{Listen: true, Speak: true}, "mod"))
	s.track = s.speaker.track()
	s.say(0, 4)
	until(t, "it is heard again", func() bool { return len(s.listener.heard()) == 15 })
}

// After a while frames without the right are what they are in row 38.
func TestRow42WhoGoesOnIsClosed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.grant(s.speaking(), room.Grants{Listen: true})
	s.speaker.find("grants", isGranted(room.Grants{Listen: true}, "mod"))
	hub := s.hub("hall")
	hub.mu.Lock()
	local := hub.sessions[s.speaking()]
	local.allowed.Store(&allowance{Grants: local.grants(), since: nanotime() - int64(lateFrames) - 1})
	hub.mu.Unlock()
	for seq := range uint32(3) {
		s.speaker.tryAudio(audio(t, s.track.Handle, 0, seq, 1, 0))
	}
	s.speaker.endsWith(4403)
}

func TestListeningIsTakenAndGiven(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	deaf, w := s.join("hall", "deaf", nil)
	s.say(0, 0)
	until(t, "it is heard", func() bool { return len(deaf.heard()) == 1 })
	s.grant(w.Session, room.Grants{Speak: true})
	deaf.find("grants", isGranted(room.Grants{Speak: true}, "mod"))
	until(t, "the socket is no listener any more", func() bool { return !s.hub("hall").hasListener(w.Session) })
	s.say(1, 5)
	until(t, "others hear on", func() bool { return len(s.listener.heard()) == 6 })
	deaf.refused("forbidden", "listen", fields{"on": true})
	deaf.must("ok", "listen", fields{"on": false}) // who has not the right may always stop
	if n := len(deaf.heard()); n != 1 {
		t.Errorf("%d frames heard", n)
	}
	s.grant(w.Session, room.Grants{Listen: true})
	deaf.find("grants", isGranted(room.Grants{Listen: true}, "mod"))
	deaf.must("ok", "listen", fields{"on": true})
	s.say(6, 6)
	until(t, "it hears again", func() bool { // what was just said comes first, as to everybody who begins to listen
		got := deaf.frames(s.track.Handle)
		return got[len(got)-1].seq == 6
	})
}

// hasListener says whether a session has a socket among the listeners.
func (h *hub) hasListener(session string) bool {
	for _, share := range h.shares {
		share.mu.Lock()
		for _, c := range share.conns {
			if c.session == session {
				share.mu.Unlock()
				return true
			}
		}
		share.mu.Unlock()
	}
	return false
}

// Who listens to the past loses the right, and with it the past.
func TestListeningToThePastIsTaken(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 99)
	s.speaker.waitAck(s.track.Track, 0, 99)
	deaf, w := s.join("hall", "deaf", fields{"listen": true})
	deaf.must("playback", "listen", fields{"on": true, "from": "start"})
	s.grant(w.Session, room.Grants{Speak: true})
	deaf.find("grants", isGranted(room.Grants{Speak: true}, "mod"))
	until(t, "it plays no more", func() bool {
		hub := s.hub("hall")
		hub.mu.Lock()
		defer hub.mu.Unlock()
		for c := range hub.conns {
			if c.session == w.Session {
				c.past.mu.Lock()
				defer c.past.mu.Unlock()
				return c.past.player == nil
			}
		}
		return false
	})
	deaf.refused("forbidden", "listen", fields{"on": true, "from": "start"})
}

// What a moderator took stays taken on another edge and through newer tokens; what one gave stays given.
func TestGrantsSurviveResumeAndRefresh(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	p, w := d.join("hall", "ada", nil)
	track := p.track()
	p.sendAudio(audio(t, track.Handle, 0, 0, 1, 0))
	p.waitAck(track.Track, 0, 0)
	d.grant(w.Session, room.Grants{Listen: true, Record: true})
	p.find("grants", isGranted(room.Grants{Listen: true, Record: true}, "mod"))
	p.must("ok", "refresh", fields{"token": h.token("ada", nil)}) // says speak
	p.refused("forbidden", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})

	all := h.token("ada", func(c *auth.Claims) { c.Grants = auth.AllGrants() })
	for name, at := range map[string]*door{"elsewhere": e, "back": d} {
		before := p.id.Load()
		p = at.dial()
		p.id.Store(before) // an id is used once in a session, over all its sockets
		again := p.hello("hall", all, fields{"resume": w.Resume})
		if !again.Resumed || again.Grants != (room.Grants{Listen: true, Record: true}) || string(again.Tracks) != "[]" {
			t.Errorf("%s: resumed %v with %+v, tracks %s", name, again.Resumed, again.Grants, again.Tracks)
		}
		p.refused("forbidden", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
		p.sendAudio(audio(t, track.Handle, 0, 1, 1, 0))
		p.find("forbidden", func(m *inMessage) bool { return m.Code == "forbidden" })
	}
	d.ended(track.Track)
}

// A socket that wants to listen comes back into a session whose right to was taken, or whose token never had it.
func TestResumeAsksTheRoomWhetherOneMayListen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.edge(nil)
	p, w := d.join("hall", "ada", nil)
	d.grant(w.Session, room.Grants{Speak: true})
	p.findType("grants")
	p = d.dial()
	if again := p.hello("hall", h.token("ada", nil), fields{"resume": w.Resume}); !again.Resumed || again.Grants.Listen {
		t.Errorf("resumed %+v", again)
	}
	if d.hub("hall").hasListener(w.Session) {
		t.Error("it listens")
	}
	mute := h.token("bob", func(c *auth.Claims) { c.Grants.Listen = false })
	q := d.dial()
	v := q.hello("hall", mute, fields{"listen": false})
	d.grant(v.Session, room.Grants{Listen: true})
	q.findType("grants")
	q = d.dial()
	if again := q.hello("hall", mute, fields{"resume": v.Resume}); !again.Resumed || !d.hub("hall").hasListener(v.Session) {
		t.Errorf("resumed %+v", again)
	}
	q = d.dial()
	q.refused("forbidden", "hello", helloFields("hall", mute, fields{"resume": "of nothing"}))
	q.endsWith(4403)
}

// A token with fewer rights is told to the log: who could speak when.
func TestNarrowedTokenIsAnEvent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 4)
	s.speaker.waitAck(s.track.Track, 0, 4)
	narrow := s.h.token("speaker", func(c *auth.Claims) { c.Grants.Speak = false })
	s.speaker.must("ok", "refresh", fields{"token": narrow})
	s.speaker.find("grants", isGranted(room.Grants{Listen: true}, room.ByToken))
	if last := s.ended(s.track.Track); last != 4 {
		t.Errorf("ended with %d", last)
	}
	until(t, "the log says so", func() bool { return s.state("hall").Sessions[s.speaking()].Grants == room.Grants{Listen: true} })
	if n := s.speaker.count(func(m *inMessage) bool { return m.Type == "grants" }); n != 1 {
		t.Errorf("told %d times", n)
	}
	s.grant(s.speaking(), room.Grants{Listen: true, Speak: true}) // a moderator's word is above the token's
	s.speaker.find("grants", isGranted(room.Grants{Listen: true, Speak: true}, "mod"))
	s.speaker.must("ok", "refresh", fields{"token": narrow})
	s.track = s.speaker.track()
	s.speaker.stays()
}

// While moderators only may speak others' tracks end; then they may begin again.
func TestSpeakModeratorsEndsTheOthersTracks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	other := s.h.edge(nil)
	mod := other.dial()
	mod.hello("hall", s.h.token("mod", func(c *auth.Claims) { c.Grants.Moderate = true }), nil)
	kept := mod.track()
	s.say(0, 9)
	until(t, "all was taken", func() bool { return len(s.listener.heard()) == 10 })
	s.set("hall", room.Settings{Keep: room.KeepRewind, Speak: room.SpeakModerators})
	if last := s.ended(s.track.Track); last != 9 {
		t.Errorf("ended with %d", last)
	}
	s.say(10, 12)
	s.speaker.find("forbidden", func(m *inMessage) bool { return m.Code == "forbidden" && !m.Fatal })
	s.speaker.refused("forbidden", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
	mod.sendAudio(audio(t, kept.Handle, 0, 0, 1, 0))
	until(t, "the moderator is heard", func() bool { return len(s.listener.heard()) == 11 })
	s.set("hall", room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	s.speaker.find("the room's news", func(m *inMessage) bool {
		var info room.Info
		return m.Type == "room" && json.Unmarshal(m.Room, &info) == nil && info.Speak == room.SpeakGranted
	})
	until(t, "it may begin again", func() bool {
		return s.speaker.ask("track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0}).Type == "track"
	})
	if s.state("hall").Tracks[kept.Track].Ended {
		t.Error("the moderator's track has ended")
	}
}

// An edge that missed the event finds it when it folds anew.
func TestGrantThatWasMissed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hub := s.hub("hall")
	hub.mu.Lock()
	hub.folding = true // as while the room is being read: what is heard is held
	hub.mu.Unlock()
	s.grant(s.speaking(), room.Grants{Listen: true})
	until(t, "the event has come", func() bool { hub.mu.Lock(); defer hub.mu.Unlock(); return len(hub.held) > 0 })
	hub.mu.Lock()
	hub.held = nil
	hub.mu.Unlock()
	if err := hub.refold(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.speaker.find("grants", isGranted(room.Grants{Listen: true}, ""))
	s.ended(s.track.Track)
}

// speaking is the session of the speaker's.
func (s *stage) speaking() string { return s.speaker.findType("welcome").Session }
