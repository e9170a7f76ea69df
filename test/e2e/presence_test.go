package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// A server of the log's cluster is killed, then an edge together with one of two presences, then the other presence: everybody has joined
// once, is away within 5 s of the edge's death and leaves once, as soon as a presence is there again. Who follows the room's events
// hears each of them once, over the death of the edge that told them.
func TestJoinsAndLeavesOnceOverDeaths(t *testing.T) {
	t.Parallel()
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	for _, stream := range []string{subject.EventStream("local"), subject.SnapshotStream("local")} {
		if info := settled(t, admin, stream); info.Config.Replicas != 3 {
			t.Fatalf("stream %s has %d replicas", stream, info.Config.Replicas)
		}
	}
	presences := []*service{f.presence(), f.presence()}
	dying, other := f.edge(), f.edge()
	people := []string{"ada", "bob", "cyd"}
	var listeners []*player
	for _, name := range people {
		listeners = append(listeners, listen(t, dying.url, "hall", name))
	}
	listen(t, other.url, "hall", "dan")
	token := f.token("looker")
	follower := play(t, nil, "room", "--url", dying.url+","+other.url, "--token", token, "events", "hall", "--follow")

	leader := settled(t, admin, subject.EventStream("local")).Cluster.Leader
	victim, _ := choose(nodes, func(n *natsNode) bool { return n.name == leader })
	victim.kill()
	eventually(t, 20*time.Second, "the event stream has another leader", func() bool {
		_, err := get(other.url, token, "/v1/rooms/hall/events", nil)
		now := leaderOf(t, admin, subject.EventStream("local"))
		return err == nil && now != "" && now != leader
	})

	presences[0].kill()
	dying.kill()
	killed := time.Now()
	for _, l := range listeners {
		l.kill()
	}
	eventually(t, 5*time.Second, "only dan is in the roster", func() bool {
		r, err := roster(other.url, token, "hall")
		present, away := names(r)
		slices.Sort(away)
		return err == nil && slices.Equal(present, []string{"dan"}) && slices.Equal(away, people)
	})
	t.Logf("no ghosts %v after kill -9 of the edge, a presence and a NATS server", time.Since(killed).Round(10*time.Millisecond))
	lost := time.Now()
	presences[1].kill()

	// Nobody is there to end what is over after 30 s.
	eventually(t, 40*time.Second, "31 s have passed", func() bool { return time.Since(lost) > 31*time.Second })
	if n := count(t, other.url, token, "session.left"); n != 0 {
		t.Errorf("%d have left, and no presence was there to say so", n)
	}
	f.presence() // ready when this returns
	recovered := time.Now()
	eventually(t, 5*time.Second, "all have left, 5 s after a presence is there again", func() bool {
		r, err := roster(other.url, token, "hall")
		return err == nil && r.Total == 1
	})
	t.Logf("left %v after the new presence was ready", time.Since(recovered).Round(10*time.Millisecond))

	want := map[string]int{"session.joined dan": 1}
	for _, name := range people {
		want["session.joined "+name], want["session.away "+name+" edge_lost"], want["session.left "+name+" timeout"] = 1, 1, 1
	}
	all := events(t, other.url, token, "hall")
	if got := tally(t, all); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
	heard := func() (positions []uint64) {
		for line := range strings.Lines(follower.out.String()) {
			var e event
			if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &e) == nil {
				positions = append(positions, e.Position)
			}
		}
		return positions
	}
	var positions []uint64
	for _, e := range all {
		positions = append(positions, e.Position)
	}
	eventually(t, 10*time.Second, "the follower has heard all", func() bool { return len(heard()) >= len(positions) })
	if got := heard(); !slices.Equal(got, positions) {
		t.Errorf("followed %v, there are %v", got, positions)
	}
	follower.interrupt(t)
	if code := follower.wait(t, 5*time.Second); code != 0 || !strings.Contains(follower.errs.String(), "have stopped") {
		t.Errorf("exit code %d: %s", code, follower.errs.String())
	}
	past := f.cli("room", "--url", other.url, "--token", token, "show", "hall", "--at", lost.UTC().Format(time.RFC3339Nano)).ok()
	if strings.Count(past.out, "away") != 3 || strings.Count(past.out, "present") != 1 {
		t.Errorf("as it was when the presence was killed: %s", past.out)
	}
}

// A frozen edge counts as dead: its sessions are away, may resume elsewhere, and when it thaws it lets go of their sockets and says
// nothing about them.
func TestAFrozenEdgeLetsGo(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	freezing, other := f.edge(), f.edge()
	token := f.token("looker")
	front := startProxy(t, strings.TrimPrefix(freezing.url, "http://"))
	listen(t, front.url(), "hall", "ada", "--token", f.token("ada"))
	eve := rawSession(t, freezing.url, f.token("eve"), "hall")

	front.turn(strings.TrimPrefix(other.url, "http://"))
	freezing.freeze(t)
	frozen := time.Now()
	eventually(t, 5*time.Second, "nobody is present", func() bool {
		r, err := roster(other.url, token, "hall")
		present, _ := names(r)
		return err == nil && len(present) == 0 && r.Total == 2
	})
	t.Logf("no ghosts %v after the edge froze", time.Since(frozen).Round(10*time.Millisecond))
	eventually(t, 25*time.Second, "ada is back on the other edge", func() bool {
		r, err := roster(other.url, token, "hall")
		present, _ := names(r)
		return err == nil && slices.Equal(present, []string{"ada"})
	})
	t.Logf("ada resumed %v after the edge froze", time.Since(frozen).Round(10*time.Millisecond))
	freezing.thaw(t)
	if code := closeCode(t, eve); code != websocket.CloseServiceRestart {
		t.Errorf("the thawed edge closed with %d, want 1012", code)
	}
	eventually(t, 20*time.Second, "the thawed edge serves again", func() bool {
		_, err := get(freezing.url, token, "/v1/rooms/hall/events", nil)
		return err == nil
	})
	want := map[string]int{
		"session.joined ada": 1, "session.away ada edge_lost": 1, "session.moved ada": 1,
		"session.joined eve": 1, "session.away eve edge_lost": 1,
	}
	if got := tally(t, events(t, other.url, token, "hall")); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// leaderOf is the leader of a stream, or "".
func leaderOf(t *testing.T, admin *nats.Conn, stream string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	s, err := js(t, admin).Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return ""
	}
	return s.CachedInfo().Cluster.Leader
}

// tally counts events by type, who they are about and why.
func tally(t *testing.T, all []event) map[string]int {
	t.Helper()
	counts, whose := map[string]int{}, map[string]string{}
	for _, e := range all {
		var data struct{ Session, Identity, Name, Reason string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if e.Type == "session.joined" {
			whose[data.Session] = data.Name
			if data.Name == "" {
				whose[data.Session] = data.Identity
			}
		}
		counts[strings.TrimSpace(e.Type+" "+whose[data.Session]+" "+data.Reason)]++
	}
	return counts
}

func count(t *testing.T, url, token, kind string) (n int) {
	t.Helper()
	for _, e := range events(t, url, token, "hall") {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// rawSession joins a room over a socket that answers pings and reads what comes, and never comes back.
func rawSession(t *testing.T, url, token, room string) *websocket.Conn {
	t.Helper()
	c, answer, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	t.Cleanup(func() { c.Close() })
	if err := c.WriteJSON(map[string]any{"type": "hello", "id": 1, "protocol": 1, "token": token, "room": room, "listen": false}); err != nil {
		t.Fatal(err)
	}
	_, welcome, err := c.ReadMessage()
	if err != nil || !bytes.Contains(welcome, []byte(`"welcome"`)) {
		t.Fatalf("hello was answered by %s, %v", welcome, err)
	}
	return c
}

// closeCode reads until the socket is closed.
func closeCode(t *testing.T, c *websocket.Conn) int {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			closed, ok := err.(*websocket.CloseError)
			if !ok {
				t.Fatalf("no close: %v", err)
			}
			return closed.Code
		}
	}
}
