package participant

import (
	"context"
	"errors"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/outgoing"
	"airloom/internal/room"
)

// hasten ends a track whose acks do not come in time.
func hasten(t *testing.T, s *fakeSocket, speaker *Speaker, answered bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- speaker.End(ctx) }()
	end := s.request("track.end")
	if answered {
		s.say(object{"type": "ok", "re": end["id"]})
	}
	cancel()
	if err := wait(t, ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended with %v", err)
	}
}

// A track whose End ran out of time goes on being sent again, and is forgotten when it is acked, or closed: no later hello speaks of it.
func TestATrackWhoseEndRanOutOfTimeIsForgotten(t *testing.T) {
	words := map[string]object{
		"acked":  {"type": "ack", "track": trackName, "epoch": 0, "seq": 9},
		"closed": {"type": "closed", "track": trackName, "epoch": 0, "acked": 4, "kept": 8},
	}
	for name, word := range words {
		for _, answered := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				e := newFakeEdge(t)
				p, s := joinFake(t, e, Config{})
				speaker := speak(t, p, s, TrackConfig{})
				sendFrames(t, speaker, 0, 9)
				s.collect(newSink(), 9)
				hasten(t, s, speaker, answered)
				s.say(object{"type": "resend", "track": trackName, "epoch": 0, "from": 0})
				s.collect(newSink(), 9)
				s.say(word)
				eventually(t, "the speaker is forgotten", func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return len(p.speakers) == 0
				})
				s.ws.Close()
				s = e.accept()
				if tracks := s.hello["tracks"]; tracks != nil {
					t.Errorf("the next hello names %v", tracks)
				}
				s.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": 9}}})
				s.request("track.end") // it was lost with its edge: nobody else says it again
			})
		}
	}
}

// An edge refuses a hello that names more than eight tracks, for good. Those that go on are named first, then the newest.
func TestHelloNamesEightTracks(t *testing.T) {
	p := newParticipant(Config{}, nil)
	defer p.cancel()
	p.resume = "secret"
	for n := range uint32(12) {
		s := &Speaker{p: p, id: frame.TrackID(n + 1), changed: make(chan struct{}), out: outgoing.New(n+1, 0, 8, 10, false, time.Now())}
		s.endAsked = n%6 != 1 // two go on: 1 and 7
		p.speakers = append(p.speakers, s)
	}
	p.speakers[7].err = ErrTrackOver // no more: the edge is only asked how it ended
	want := []uint32{1, 11, 10, 9, 8, 7, 6, 5}
	got := p.hello().Tracks
	if len(got) != len(want) || len(want) != room.MaxTracks {
		t.Fatalf("hello names %d tracks", len(got))
	}
	for i, n := range want {
		if got[i].Track != frame.TrackID(n+1) {
			t.Errorf("track %d is %s, want %s", i, got[i].Track, frame.TrackID(n+1))
		}
	}
}
