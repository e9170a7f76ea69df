package edge

import (
	"testing"
	"time"
)

// Who begins to listen live gets the newest 120 ms of each track first, flagged BACKLOG, and then everything from there on: no
// frame twice, none missing. Its own sound is not in it, and none that is old.
func TestLiveBurst(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	hush := s.talk(0)
	defer hush()
	until(t, "somebody speaks", func() bool { return len(s.listener.heard()) > 30 })
	var joined []*peer
	for _, who := range []string{"a", "b", "c", "d", "e"} {
		p, _ := s.join("hall", who, nil)
		joined = append(joined, p)
	}
	late, _ := s.join("hall", "late", fields{"listen": false})
	late.must("ok", "listen", fields{"on": true})
	joined = append(joined, late)
	for _, p := range joined {
		until(t, "it hears", func() bool { return len(p.frames(s.track.Handle)) > 20 })
	}
	last := hush()
	for i, p := range joined {
		var got []heardFrame
		until(t, "all is heard", func() bool { got = p.frames(s.track.Handle); return got[len(got)-1].seq == last })
		wholeFrom(t, "joined", got, got[0].seq, last)
		past := 0
		for _, f := range got {
			if f.past {
				past++
			}
		}
		if past < 1 || past > 25 || !got[0].past { // 6 in 120 ms; a busy machine delivers some together
			t.Errorf("listener %d: the burst has %d frames", i, past)
		}
	}
	if n := len(s.speaker.heard()); n != 0 {
		t.Errorf("the speaker hears %d of its own packets", n)
	}
	until(t, "the sound is old", func() bool {
		r := s.hub("hall").ring
		newest := r.get(r.head.Load() - 1)
		return time.Duration(nanotime()-newest.at) > burstFresh
	})
	p, _ := s.join("hall", "later", nil)
	p.stays()
	if n := len(p.heard()); n != 0 {
		t.Errorf("%d messages of old sound", n)
	}
}

// A session that resumes has heard the room: it gets no burst, and so nothing twice.
func TestNoBurstAfterAResume(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p, w := s.join("hall", "mover", nil)
	s.say(0, 9)
	until(t, "it hears", func() bool { return len(p.frames(s.track.Handle)) == 10 })
	q, again := s.join("hall", "mover", fields{"resume": w.Resume})
	if !again.Resumed {
		t.Fatal("not resumed")
	}
	s.say(10, 19)
	until(t, "it hears there", func() bool { return len(q.frames(s.track.Handle)) >= 10 })
	wholeFrom(t, "the new socket", q.frames(s.track.Handle), 10, 19)
}
