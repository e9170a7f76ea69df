package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

var figures = flag.String("figures", "", "measure how long faults are heard and write it to this file, instead of testing")

// heardGaps are the longest gaps that listeners heard, one for each listener of each trial, in ms.
type heardGaps struct {
	Trials   int     `json:"trials"`
	P50      float64 `json:"p50_ms"`
	P95      float64 `json:"p95_ms"`
	Max      float64 `json:"max_ms"`
	NotHeard uint64  `json:"frames_not_heard"` // by live listeners, over all trials
	Frames   int64   `json:"frames"`
	Resent   int64   `json:"frames_resent"`
	gaps     []time.Duration
}

func (g *heardGaps) add(gap time.Duration, missing uint64) {
	g.gaps = append(g.gaps, gap)
	g.NotHeard += missing
	slices.Sort(g.gaps)
	at := func(q float64) float64 {
		return float64(g.gaps[min(len(g.gaps)-1, int(q*float64(len(g.gaps))))].Microseconds()) / 1000
	}
	g.Trials, g.P50, g.P95, g.Max = len(g.gaps), at(0.5), at(0.95), at(1)
}

// TestFigures measures what bench/README.md tells of faults: `go test ./test/e2e -run TestFigures -figures FILE`. It still expects
// that no frame is missing from a recording.
func TestFigures(t *testing.T) {
	if *figures == "" {
		t.Skip("measures only when told where to write: -figures FILE")
	}
	all := map[string]*heardGaps{"edge_killed": {}, "nats_killed": {}, "nats_frozen": {}}
	t.Run("edge", func(t *testing.T) { edgeFigures(t, all["edge_killed"]) })
	t.Run("nats", func(t *testing.T) { natsFigures(t, all["nats_killed"], all["nats_frozen"]) })
	out, err := json.MarshalIndent(all, "", "  ")
	if err == nil {
		err = os.WriteFile(*figures, append(out, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
}

// edgeFigures kills the edge of eight speakers, four times: how long until those on another edge hear each of them again?
func edgeFigures(t *testing.T, g *heardGaps) {
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.recorder()
	other := f.edge()
	for trial := range 4 {
		dying := f.edge()
		front := startProxy(t, strings.TrimPrefix(dying.url, "http://"))
		var ears []*ear
		var speakers []*player
		for i := range 8 {
			room := fmt.Sprintf("trial-%d-%d", trial, i)
			ears = append(ears, hear(t, other.url, "", room))
			speakers = append(speakers, play(t, nil, "publish", "--url", front.url(), "--token", f.token("ada"), "--room", room, "--for", "7s", speechOpus))
		}
		for _, e := range ears {
			eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return e.frames() >= 105 })
		}
		front.turn(strings.TrimPrefix(other.url, "http://"))
		dying.kill()
		for i, s := range speakers {
			var said published
			s.end(t, 60*time.Second, &said)
			g.count(t, said, ears[i], other.url)
		}
	}
}

// natsFigures kills and freezes servers of three, those that the speaker's edge is connected to.
func natsFigures(t *testing.T, killed, frozen *heardGaps) {
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	f.presence()
	f.recorder()
	for trial := range 12 {
		settled(t, admin, subject.LogStream("local"))
		settled(t, admin, subject.EventStream("local"))
		victim := nodes[trial%3]
		speaking, hearing := f.edgeAt(victim.url()), f.edgeAt(nodes[(trial+1)%3].url())
		room := fmt.Sprintf("trial-%d", trial)
		e := hear(t, hearing.url, "", room)
		s := play(t, nil, "publish", "--url", speaking.url, "--room", room, "--for", "9s", speechOpus)
		eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return e.frames() >= 105 })
		g := killed
		if trial >= 6 {
			g = frozen
			victim.freeze(t)
		} else {
			victim.kill()
		}
		var said published
		s.end(t, 90*time.Second, &said)
		if g == frozen {
			victim.thaw(t)
		} else {
			victim.start(t)
			victim.await(t)
		}
		g.count(t, said, e, hearing.url)
		speaking.interrupt(t)
		hearing.interrupt(t)
	}
}

// count takes in what one listener heard of one speaker, and holds the recording against what was acked.
func (g *heardGaps) count(t *testing.T, said published, e *ear, url string) {
	t.Helper()
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	gap, _ := e.longest()
	g.add(gap, e.missing())
	g.Frames += said.Frames
	g.Resent += said.Resent
	e.leave()
	recordedWhole(t, url, said)
}
