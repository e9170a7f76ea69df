package e2e

import (
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// One of three nats-servers hangs while somebody speaks through it, and does not come back before the speaker is done: nobody's socket is lost, the
// sound goes on by another server after a gap, and the recording lacks nothing. The gap is 1.5 s on a quiet machine (TestFigures measures it); the
// bound here leaves room for one that does much else.
func TestClusterSurvivesAServerFrozen(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	leader := settled(t, admin, subject.LogStream("local")).Cluster.Leader
	settled(t, admin, subject.EventStream("local"))
	f.presence()
	f.recorder()
	victim, rest := choose(nodes, func(n *natsNode) bool { return n.name == leader }) // the worst place: the log needs a new leader, too
	speaking, hearing := f.edgeAt(victim.url()), f.edgeAt(rest[0].url())
	playOverFault(t, speaking, hearing, "frozen", func() { victim.freeze(t) }, 5*time.Second)
	victim.thaw(t)
}
