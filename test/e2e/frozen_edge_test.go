package e2e

import (
	"testing"
	"time"
)

// A speaker knows two edges, and the one that it speaks to stands still: it goes on over the other one. When the first one thaws, it
// brings what it had into the log and acks to nobody; in the end what was acked is what is recorded.
func TestSpeakerLeavesAFrozenEdge(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.recorder()
	frozen, other := f.edge(), f.edge()
	ear := hear(t, other.url, "", "hall")
	speaker := play(t, nil, "publish", "--url", frozen.url+","+other.url, "--token", f.token("ada"), "--room", "hall", "--name", "ada", "--for", "20s", speechOpus)
	eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return ear.frames() >= 105 })
	frozen.freeze(t)
	stood, had := time.Now(), ear.frames()
	eventually(t, 15*time.Second, "sound comes again, by the other edge", func() bool { return ear.frames() > had+50 })
	t.Logf("a second of sound %v after the edge froze", time.Since(stood).Round(10*time.Millisecond))
	frozen.thaw(t)
	var said published
	speaker.end(t, 60*time.Second, &said)
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	recordedWhole(t, other.url, said)
}
