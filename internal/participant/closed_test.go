package participant

import (
	"errors"
	"testing"
)

// ending is a speaker of ten frames that has asked for its end, without an answer.
func ending(t *testing.T) (e *fakeEdge, s *fakeSocket, ended chan error) {
	t.Helper()
	e = newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	ended = make(chan error, 1)
	go func() { ended <- speaker.End(t.Context()) }()
	s.collect(newSink(), 9)
	return e, s, ended
}

// The edge's last word ends the wait, and says how much is lost.
func TestEndHearsWhatIsNotKept(t *testing.T) {
	_, s, ended := ending(t)
	end := s.request("track.end")
	s.say(object{"type": "ok", "re": end["id"]})
	s.say(object{"type": "closed", "track": trackName, "epoch": 0, "acked": 4, "kept": 8})
	var lost *NotKeptError
	if err := wait(t, ended, "the end"); !errors.As(err, &lost) || lost.Missing != 2 || lost.Of != 10 {
		t.Errorf("ended with %v, want 2 of 10 frames not kept", err)
	}
}

// An edge has ended the track and died with the acks: the next one knows the track no more, and says later how much of it is kept.
func TestEndAfterItsEdgeDied(t *testing.T) {
	for kept, want := range map[int]int64{10: 0, 7: 3} {
		e, s, ended := ending(t)
		s.request("track.end")
		s.ws.Close()
		s = e.accept()
		s.welcome(object{"resumed": true, "over": []string{trackName}})
		again := s.request("track.end")
		s.say(object{"type": "error", "re": again["id"], "code": "unknown_track", "message": "no such track"})
		s.say(object{"type": "closed", "track": trackName, "epoch": 0, "acked": kept - 1, "kept": kept})
		err := wait(t, ended, "the end")
		var lost *NotKeptError
		if errors.As(err, &lost); want == 0 && err != nil || want != 0 && (lost == nil || lost.Missing != want) {
			t.Errorf("ended with %v where %d of 10 are kept", err, kept)
		}
	}
}
