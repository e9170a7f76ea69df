package participant

import (
	"errors"
	"testing"
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
			again.welcome(object{"resumed": true, "grants": listener})
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
