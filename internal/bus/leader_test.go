package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A server that has lost the others goes on answering for a stream, as its leader at first and then as a replica of a stream without one, while
// the others may have stored more: neither is believed.
func TestOnlyALeaderThatIsFollowedIsBelieved(t *testing.T) {
	c := newCluster(t, 3)
	urls := []string{c.start(0), c.start(1), c.start(2)}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	b := dial(t, Config{URL: urls[0]})
	if err := b.EnsureStreams(ctx, Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "a leader is believed", func() bool {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := AskLeader(short, b.JetStream(), "EV_eu", jetstream.WithSubjectFilter(">"))
		return err == nil
	})
	for i := 1; i < len(c.opts); i++ {
		c.running[i].Shutdown()
		c.running[i].WaitForShutdown()
	}
	for _, stream := range []string{"EV_eu", "LOG_eu"} {
		eventually(t, ctx, "the last server answers for "+stream+" without a leader", func() bool {
			short, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			s, err := b.JetStream().Stream(short, stream)
			return err == nil && s.CachedInfo().Cluster.Leader == ""
		})
		if _, err := AskLeader(ctx, b.JetStream(), stream); !errors.Is(err, ErrNotLed) {
			t.Errorf("a replica of %s without a leader is believed: %v", stream, err)
		}
	}
}

func TestALeaderIsOneThatAMajorityFollows(t *testing.T) {
	heard, long := jetstream.PeerInfo{Active: time.Second}, jetstream.PeerInfo{Active: heardWithin + time.Second}
	for _, at := range []struct {
		name     string
		leader   string
		replicas []*jetstream.PeerInfo
		want     string
	}{
		{"one of one", "n1", nil, ""},
		{"both others are there", "n1", []*jetstream.PeerInfo{&heard, &heard}, ""},
		{"one of the others is away", "n1", []*jetstream.PeerInfo{&heard, &long}, ""},
		{"one of the others was never there", "n1", []*jetstream.PeerInfo{&heard, {}}, ""},
		{"both others are away", "n1", []*jetstream.PeerInfo{&long, {}}, "n1 has heard from 1 of 3"},
		{"the other one of two is away", "n1", []*jetstream.PeerInfo{&long}, "n1 has heard from 1 of 2"},
		{"half of four", "n1", []*jetstream.PeerInfo{&heard, &long, &long}, "2 of 4"},
		{"no leader", "", []*jetstream.PeerInfo{&heard, &heard, &heard}, "have none"},
	} {
		err := leads(&jetstream.ClusterInfo{Leader: at.leader, Replicas: at.replicas})
		if at.want == "" && err != nil || at.want != "" && (!errors.Is(err, ErrNotLed) || !strings.Contains(err.Error(), at.want)) {
			t.Errorf("%s: %v", at.name, err)
		}
	}
	if err := leads(nil); err != nil {
		t.Errorf("a server alone: %v", err)
	}
}

func eventually(t *testing.T, ctx context.Context, what string, is func() bool) {
	t.Helper()
	for !is() {
		if !pause(ctx, 50*time.Millisecond) {
			t.Fatalf("%s: not in time", what)
		}
	}
}
