package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/participant"
	"airloom/internal/subject"
)

// Whatever keeps the log from taking sound, its speaker is told within two seconds, and again when all is caught up; who listens hears on
// all the while; and in the end every frame is acked and recorded.
func TestLogAwayIsToldTwice(t *testing.T) {
	for _, c := range []struct {
		name  string
		conf  natsConf
		small bool // the log lies on a small disk
		hurt  func(*testing.T, *away) (heal func())
	}{
		{name: "the stream refuses", hurt: refuse},
		{name: "nobody answers", hurt: withoutJetStream},
		{name: "the disk is full", small: true, hurt: fillDisk},
		{name: "no quorum", conf: natsConf{nodes: 3}, hurt: withoutQuorum},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &away{}
			if c.small {
				a.disk = smallDisk(t)
				c.conf.store = a.disk
			}
			a.nodes = startNATS(t, c.conf)
			a.play(t, c.hurt)
		})
	}
}

// away is one outage: a speaker on one edge, a listener on another.
type away struct {
	nodes []*natsNode
	disk  string
	ear   *ear

	mu    sync.Mutex
	acked time.Time // when the newest ack came
	told  [2]time.Time
}

// The two times that a speaker is told.
const (
	toldAway = iota
	toldBack
)

func (a *away) play(t *testing.T, hurt func(*testing.T, *away) func()) {
	f := newFabric(t, urls(a.nodes...))
	last := a.nodes[len(a.nodes)-1].url() // in a cluster the one that stays
	f.presence()
	f.recorder()
	near, far := f.edgeAt(last), f.edgeAt(last)
	if len(a.nodes) > 1 {
		settled(t, raw(t, f.nats, "", nil), subject.LogStream("local"))
	}
	a.ear = hear(t, far.url, "", "hall")
	said := a.speak(t, near.url, func(speaking func() bool) {
		eventually(t, 20*time.Second, "a second of sound, acked", func() bool { return a.ear.frames() >= 50 && !a.newestAck().IsZero() })
		broken := time.Now()
		heal := hurt(t, a)
		eventually(t, 10*time.Second, "the speaker is told that the log is away", func() bool { return !a.when(toldAway).IsZero() })
		since := broken
		if ack := a.newestAck(); ack.After(since) { // what hurts may not be felt at once
			since = ack
		}
		late := a.when(toldAway).Sub(since)
		t.Logf("told %v after the last ack", late.Round(10*time.Millisecond))
		if late > 2*time.Second {
			t.Errorf("told only %v after the log was gone", late)
		}
		had := a.ear.frames()
		eventually(t, 6*time.Second, "a second of sound without a log", func() bool { return a.ear.frames() >= had+50 })
		healed := time.Now()
		heal()
		eventually(t, 30*time.Second, "the speaker is told that all is caught up", func() bool { return a.when(toldBack).After(a.when(toldAway)) })
		t.Logf("told again %v after the log was healed", time.Since(healed).Round(10*time.Millisecond))
		if !speaking() {
			t.Error("the speaker is out of the room")
		}
	})
	recordedWhole(t, far.url, said)
}

func (a *away) newestAck() time.Time { a.mu.Lock(); defer a.mu.Unlock(); return a.acked }

func (a *away) when(told int) time.Time { a.mu.Lock(); defer a.mu.Unlock(); return a.told[told] }

// speak publishes real speech in real time while the story is told, and ends the track. It returns when all is acked.
func (a *away) speak(t *testing.T, url string, story func(speaking func() bool)) published {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p, err := participant.Join(ctx, participant.Config{URL: url, Room: "hall", Name: "speaker", Notice: func(n participant.Notice) {
		a.mu.Lock()
		defer a.mu.Unlock()
		switch n.Kind {
		case participant.LogAway:
			a.told[toldAway] = time.Now()
		case participant.LogOK:
			a.told[toldBack] = time.Now()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	s, err := p.StartTrack(ctx, participant.TrackConfig{Name: "mic", Channels: 1, FrameMS: 20, Acked: func(int64) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.acked = time.Now()
	}})
	if err != nil {
		t.Fatal(err)
	}
	stop, digest := make(chan struct{}), make(chan published, 1)
	go a.frames(t, s, stop, digest)
	over := sync.OnceFunc(func() { close(stop) })
	defer over()
	story(func() bool { return p.Err() == nil })
	over()
	said := <-digest
	if err := s.End(ctx); err != nil {
		t.Fatalf("end the track: %v", err)
	}
	if n := s.Stats(); int64(n.Kept) != said.Frames || n.Dropped != 0 {
		t.Errorf("%d of %d frames acked, %d dropped", n.Kept, said.Frames, n.Dropped)
	}
	if err := p.Leave(ctx); err != nil {
		t.Errorf("leave: %v", err)
	}
	said.Room, said.Track = "hall", s.Track()
	return said
}

// frames sends speech, again and again, until stop.
func (a *away) frames(t *testing.T, s *participant.Speaker, stop <-chan struct{}, done chan<- published) {
	var said published
	sum := frame.NewDigest()
	defer func() {
		said.SHA256, said.Seconds = sum.Sum(), float64(said.Frames)/50
		done <- said
	}()
	file, err := os.Open(speechOpus)
	if err != nil {
		t.Error(err)
		return
	}
	defer file.Close()
	speech := packetsOf(t, file)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		payload := speech[said.Frames%int64(len(speech))]
		if err := s.Send(t.Context(), payload, true); err != nil {
			t.Errorf("send a frame: %v", err)
			return
		}
		sum.Add(payload)
		said.Frames++
	}
}

// refuse lets the audio log take no byte more ("maximum bytes exceeded").
func refuse(t *testing.T, a *away) (heal func()) {
	admin := js(t, raw(t, a.nodes[0].url(), "", nil))
	bound := func(most func(used uint64) int64) {
		stream, err := admin.Stream(t.Context(), subject.LogStream("local"))
		if err != nil {
			t.Fatal(err)
		}
		info := stream.CachedInfo()
		info.Config.MaxBytes = most(info.State.Bytes)
		if _, err := admin.UpdateStream(t.Context(), info.Config); err != nil {
			t.Fatal(err)
		}
	}
	bound(func(used uint64) int64 { return int64(used) })
	return func() { bound(func(uint64) int64 { return -1 }) }
}

// withoutJetStream starts the server again with its log switched off: nobody answers for a stream.
func withoutJetStream(t *testing.T, a *away) (heal func()) {
	n := a.nodes[0]
	whole, err := os.ReadFile(n.conf)
	if err != nil {
		t.Fatal(err)
	}
	again := func(conf string) {
		if err := os.WriteFile(n.conf, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		n.kill()
		n.start(t)
		n.await(t)
	}
	var without []string
	for line := range strings.Lines(string(whole)) {
		if !strings.HasPrefix(line, "jetstream") {
			without = append(without, line)
		}
	}
	again(strings.Join(without, ""))
	return func() { again(string(whole)) }
}

// withoutQuorum kills one server of three and freezes another.
func withoutQuorum(t *testing.T, a *away) (heal func()) {
	a.nodes[0].freeze(t)
	a.nodes[1].kill()
	return func() {
		a.nodes[0].thaw(t)
		a.nodes[1].start(t)
		a.nodes[1].await(t)
	}
}

// smallDisk mounts a tmpfs for the log.
func smallDisk(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=64m", "airloom-e2e", path).CombinedOutput(); err != nil {
		t.Fatalf("mount a small disk: run as root where mounting is allowed (in a container: --privileged): %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", path).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", path, err, out)
		}
	})
	return path
}

// fillDisk leaves the log no byte. A nats-server whose disk is full switches its log off: it is started again where there is room.
func fillDisk(t *testing.T, a *away) (heal func()) {
	filler := filepath.Join(a.disk, "filler")
	out, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	block := make([]byte, 64<<10)
	for size := len(block); size > 0; {
		if _, err := out.Write(block[:size]); err != nil {
			size /= 2 // down to the last byte
		}
	}
	return func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		a.nodes[0].kill()
		a.nodes[0].start(t)
		a.nodes[0].await(t)
	}
}
