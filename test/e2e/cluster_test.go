package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// One of three nats-servers is killed while somebody speaks: what is heard stops for a moment at most, and nothing that
// was acked is missing afterwards. Once it is a follower of the audio log, once its leader; both times it is the one
// that the speaker's edge is connected to, which is the worst place.
func TestClusterSurvivesAServerKilled(t *testing.T) {
	t.Parallel()
	whole := t // what must outlive a subtest is started with it
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	for _, stream := range []string{subject.LogStream("local"), subject.EventStream("local")} {
		if info := settled(t, admin, stream); info.Config.Replicas != 3 {
			t.Fatalf("stream %s has %d replicas", stream, info.Config.Replicas)
		}
	}
	f.presence()
	f.recorder()

	for _, role := range []string{"follower", "leader"} {
		t.Run(role, func(t *testing.T) {
			leader := settled(t, admin, subject.LogStream("local")).Cluster.Leader
			settled(t, admin, subject.EventStream("local"))
			victim, rest := choose(nodes, func(n *natsNode) bool { return (n.name == leader) == (role == "leader") })
			at := *f
			at.t = t
			speaking := at.edgeAt(victim.url()) // learns of the other servers from this one
			hearing := at.edgeAt(rest[0].url())
			playOverFault(t, speaking, hearing, role, victim.kill, 3*time.Second)
			victim.start(whole)
			victim.await(t)
		})
	}
}

// With one server killed and another one frozen there is no quorum: the log takes nothing, and sound goes on at once all
// the same. When the frozen server thaws, all that waited is kept.
func TestClusterWithoutQuorumPlaysOn(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	settled(t, admin, subject.LogStream("local"))
	settled(t, admin, subject.EventStream("local"))
	f.presence()
	f.recorder()
	near := f.edgeAt(nodes[0].url())
	far := f.edgeAt(nodes[2].url())
	ear := hear(t, far.url, "", "hall")
	speaker := play(t, nil, "publish", "--url", near.url, "--room", "hall", "--name", "speaker", "--for", "12s", speechOpus)
	eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return ear.frames() >= 105 })
	nodes[1].freeze(t)
	nodes[0].kill()
	eventually(t, 15*time.Second, "the edge notices that the log is away", func() bool {
		return strings.Contains(near.errs.String(), "state=away")
	})
	had := ear.frames()
	eventually(t, 10*time.Second, "a second of sound without a log", func() bool { return ear.frames() >= had+50 })
	nodes[1].thaw(t)
	var said published
	speaker.end(t, 60*time.Second, &said)
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	gap, lost := ear.longest()
	t.Logf("longest gap %v, missed %d of %d frames, latest frame %v late", gap.Round(time.Millisecond), ear.missing(), said.Frames, ear.latest().Round(time.Millisecond))
	if gap > 5*time.Second || ear.missing() > 250 || lost > 0 {
		t.Errorf("gap %v, %d frames missing, %d lost sockets", gap, ear.missing(), lost)
	}
	if late := ear.latest(); late > time.Second {
		t.Errorf("a frame was heard %v late: live sound waited for NATS", late)
	}
	recordedWhole(t, far.url, said)
}

const frameTime = 20 * time.Millisecond // of speechOpus

// playOverFault publishes in real time at one edge, does something to the server that it is connected to, and expects that no listener heard a gap
// longer than the bound and that nothing was lost.
func playOverFault(t *testing.T, speaking, hearing *service, room string, fault func(), bound time.Duration) {
	t.Helper()
	near, far := hear(t, speaking.url, "", room), hear(t, hearing.url, "", room)
	speaker := play(t, nil, "publish", "--url", speaking.url, "--room", room, "--name", "speaker", "--for", "9s", speechOpus)
	eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return far.frames() >= 105 })
	fault()
	var said published
	speaker.end(t, 90*time.Second, &said)
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	for name, ear := range map[string]*ear{"same": near, "other": far} {
		gap, lost := ear.longest()
		t.Logf("%s: listener on the %s edge: longest gap %v, missed %d of %d frames, latest frame %v late", room, name,
			gap.Round(time.Millisecond), ear.missing(), said.Frames, ear.latest().Round(time.Millisecond))
		if gap > bound || ear.missing() > uint64(bound/frameTime) || lost > 0 {
			t.Errorf("the listener on the %s edge: gap %v, %d frames missing, %d lost sockets", name, gap, ear.missing(), lost)
		}
		ear.leave()
	}
	if !strings.Contains(speaking.errs.String(), "NATS connection is back") {
		t.Error("the speaker's edge was not connected to that server: this test looks at the wrong place")
	}
	t.Logf("%s: %d frames sent again by the speaker", room, said.Resent)
	recordedWhole(t, hearing.url, said)
}

// settled waits until a stream has a leader and all replicas are current, and gives what the leader says.
func settled(t *testing.T, admin *nats.Conn, stream string) (info *jetstream.StreamInfo) {
	t.Helper()
	j := js(t, admin)
	eventually(t, 40*time.Second, stream+" is whole", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		s, err := j.Stream(ctx, stream)
		if err != nil {
			return false
		}
		info = s.CachedInfo()
		if info.Cluster == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != info.Config.Replicas-1 {
			return false
		}
		for _, r := range info.Cluster.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		return true
	})
	return info
}

func choose(nodes []*natsNode, is func(*natsNode) bool) (one *natsNode, rest []*natsNode) {
	for _, n := range nodes {
		if one == nil && is(n) {
			one = n
			continue
		}
		rest = append(rest, n)
	}
	if one == nil {
		panic(fmt.Sprintf("no such node among %d", len(nodes)))
	}
	return one, rest
}

func urls(nodes ...*natsNode) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		all[i] = n.url()
	}
	return strings.Join(all, ",")
}
