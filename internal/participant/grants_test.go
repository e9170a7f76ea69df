package participant

import (
	"errors"
	"testing"
	"time"
)

// The right to speak is taken by a moderator, by the room's settings, or while the participant was away: what is published ends
// and says why; acks of what was taken before still count.
func TestRightToSpeakIsTaken(t *testing.T) {
	listener := object{"listen": true}
	for name, take := range map[string]func(e *fakeEdge, s *fakeSocket) *fakeSocket{
		"by a moderator": func(_ *fakeEdge, s *fakeSocket) *fakeSocket {
			s.say(object{"type": "grants", "grants": listener, "by": "mod"})
			return s
		},
		"by the settings": func(_ *fakeEdge, s *fakeSocket) *fakeSocket {
			s.say(object{"type": "room", "room": object{"room": "hall", "keep": "record", "speak": "moderators"}})
			return s
		},
		"while away": func(e *fakeEdge, s *fakeSocket) *fakeSocket {
			s.ws.Close()
			again := e.accept()
			again.welcome(object{"resumed": true, "grants": listener, "over": []string{trackName}})
			return again
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEdge(t)
			p, s := joinFake(t, e, Config{})
			speaker := speak(t, p, s, TrackConfig{})
			sendFrames(t, speaker, 0, 9)
			s.collect(newSink(), 9)
			s = take(e, s)
			eventually(t, "it may not speak", func() bool { return errors.Is(speaker.Send(t.Context(), opusFrame(10), false), ErrMayNotSpeak) })
			if p.Session().MaySpeak() {
				t.Error("the session says that it may speak")
			}
			s.ack(9)
			eventually(t, "the ack", func() bool { return speaker.Stats().Kept == 10 })
			s.say(object{"type": "closed", "track": trackName, "epoch": 0, "acked": 9, "kept": 10})
			eventually(t, "it is let go", func() bool { return p.speakersNow() == 0 })
		})
	}
}

func TestListeningIsAskedForAgain(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{Listen: true})
	s.say(object{"type": "grants", "grants": object{"speak": true}, "by": "mod"})
	eventually(t, "the right is gone", func() bool { return !p.Session().Grants.Listen })
	s.say(object{"type": "grants", "grants": object{"speak": true, "listen": true}, "by": "mod"})
	if r := s.request("listen"); r["on"] != true {
		t.Errorf("asked %v", r)
	}
}

// pastAt is a playback message.
func pastAt(state string, at time.Time, re any) object {
	m := object{"type": "playback", "state": state, "at": at, "rate": 16, "window": object{"from": at.Add(-time.Hour), "to": at}}
	if re != nil {
		m["re"] = re
	}
	return m
}

// Who listens to the past goes on there when the right comes back, and hears nothing twice; and live where nothing is kept by then.
func TestListeningToThePastGoesOn(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{Listen: true, From: "start", Rate: 16})
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	takeAndGive := func() object {
		s.say(object{"type": "grants", "grants": object{"speak": true}, "by": "mod"})
		s.say(object{"type": "grants", "grants": object{"speak": true, "listen": true}, "by": "mod"})
		return s.request("listen")
	}
	s.say(pastAt("past", at, nil))
	s.send(pastPacket(t, 0, opusFrame(0), opusFrame(1)))
	asked := takeAndGive()
	if asked["on"] != true || asked["from"] != "2026-11-20T12:00:00Z" || asked["rate"] != 16.0 {
		t.Errorf("asked %v", asked)
	}
	s.say(pastAt("past", at, asked["id"]))
	s.send(pastPacket(t, 0, opusFrame(0), opusFrame(1)))
	s.send(pastPacket(t, 2, opusFrame(2)))
	asked = takeAndGive() // all before it has been read by now
	p.Received(func(r *Receiver) {
		if h := r.Tracks()[0]; h.Frames != 3 || h.Duplicates != 0 || h.Missing() != 0 {
			t.Errorf("%d frames, %d doubled, %d missing", h.Frames, h.Duplicates, h.Missing())
		}
	})
	s.say(object{"type": "error", "re": asked["id"], "code": "not_kept", "message": "not kept"})
	if asked = s.request("listen"); asked["on"] != true || asked["from"] != nil {
		t.Errorf("where nothing is kept it asked %v", asked)
	}
}

func (p *Participant) speakersNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.speakers)
}

// Of a speaker whose right was taken nobody says a word after the edge's last one: it is held no longer than that. Until then the next edge is asked,
// and where it knows nothing, or nothing is kept, there is nothing to wait for.
func TestSpeakerThatFailedIsLetGo(t *testing.T) {
	for name, last := range map[string]func(t *testing.T, e *fakeEdge, s *fakeSocket){
		"the last word": func(_ *testing.T, _ *fakeEdge, s *fakeSocket) {
			s.say(object{"type": "closed", "track": trackName, "epoch": 0, "acked": 4, "kept": 5})
		},
		"of the next edge": func(t *testing.T, e *fakeEdge, s *fakeSocket) {
			s.ws.Close()
			again := e.accept()
			if tracks, _ := again.hello["tracks"].([]any); len(tracks) != 1 {
				t.Errorf("the hello names %v", again.hello["tracks"])
			}
			again.welcome(object{"resumed": true, "grants": object{"listen": true}, "over": []string{trackName}})
			again.say(object{"type": "closed", "track": trackName, "epoch": 0, "acked": 4, "kept": 5})
		},
		"the next edge knows nothing": func(_ *testing.T, e *fakeEdge, s *fakeSocket) {
			s.ws.Close()
			e.accept().welcome(object{"resumed": true, "grants": object{"listen": true}})
		},
		"the session is lost": func(_ *testing.T, e *fakeEdge, s *fakeSocket) {
			s.ws.Close()
			e.accept().welcome(object{"resumed": false, "grants": object{"listen": true}})
		},
		"nothing is kept": func(_ *testing.T, _ *fakeEdge, s *fakeSocket) {
			s.say(object{"type": "room", "room": object{"room": "hall", "keep": "none"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEdge(t)
			p, s := joinFake(t, e, Config{})
			speaker := speak(t, p, s, TrackConfig{})
			sendFrames(t, speaker, 0, 9)
			s.collect(newSink(), 9)
			s.say(object{"type": "grants", "grants": object{"listen": true}, "by": "mod"})
			eventually(t, "it may not speak", func() bool { return errors.Is(speaker.Send(t.Context(), opusFrame(10), false), ErrMayNotSpeak) })
			if n := p.speakersNow(); n != 1 {
				t.Errorf("%d speakers wait for the last word", n)
			}
			last(t, e, s)
			eventually(t, "it is let go", func() bool { return p.speakersNow() == 0 })
		})
	}
}
