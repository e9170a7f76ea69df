package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"airloom/internal/room"
)

// Those on an edge that is killed are away within 5 s, once each, and gone after the 30 s in which they could have resumed.
func TestEdgeKilledLeavesNoGhosts(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.presence() // two look at the same dead edge
	dying, other := f.edge(), f.edge()
	people := []string{"ada", "bob", "cyd"}
	var listeners []*player
	for _, name := range people {
		listeners = append(listeners, listen(t, dying.url, "hall", name))
	}
	listen(t, other.url, "hall", "dan")
	token := f.token("looker")

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
	t.Logf("no ghosts %v after kill -9", time.Since(killed).Round(10*time.Millisecond))
	eventually(t, 45*time.Second, "all have left", func() bool {
		r, err := roster(other.url, token, "hall")
		return err == nil && r.Total == 1
	})
	t.Logf("left %v after kill -9", time.Since(killed).Round(100*time.Millisecond))

	// Both presences have had their turn when nothing more has come for a while.
	var before int
	eventually(t, 10*time.Second, "no more events come", func() bool {
		n := len(events(t, other.url, token, "hall"))
		same := n == before
		before = n
		return same && time.Since(killed) > 36*time.Second
	})
	count := map[string]int{}
	whose := map[string]string{}
	for _, e := range events(t, other.url, token, "hall") {
		var data struct{ Session, Name, Reason string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if e.Type == "session.joined" {
			whose[data.Session] = data.Name
		}
		count[strings.TrimSpace(e.Type+" "+whose[data.Session]+" "+data.Reason)]++
	}
	want := map[string]int{"session.joined dan": 1}
	for _, name := range people {
		want["session.joined "+name], want["session.away "+name+" edge_lost"], want["session.left "+name+" timeout"] = 1, 1, 1
	}
	for what, n := range want {
		if count[what] != n {
			t.Errorf("%q: %d times, not %d", what, count[what], n)
		}
	}
	if len(count) != len(want) {
		t.Errorf("events: %v", count)
	}
}

// A speaker whose edge dies goes on over the next one behind the same address: same session, same track, nothing lost.
func TestSpeakerResumesOnAnotherEdge(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.recorder()
	dying, other := f.edge(), f.edge()
	front := startProxy(t, strings.TrimPrefix(dying.url, "http://"))
	ear := hear(t, other.url, "", "hall")

	speaker := play(t, nil, "publish", "--url", front.url(), "--token", f.token("ada"), "--room", "hall", "--name", "ada", "--for", "10s", speechOpus)
	eventually(t, 20*time.Second, "2.1 s of sound", func() bool { return ear.frames() >= 105 })
	front.turn(strings.TrimPrefix(other.url, "http://"))
	dying.kill()
	killed, had := time.Now(), ear.frames()
	eventually(t, 10*time.Second, "sound comes again", func() bool { return ear.frames() > had+5 })
	t.Logf("sound again %v after kill -9", time.Since(killed).Round(10*time.Millisecond))

	var said published
	speaker.end(t, 45*time.Second, &said)
	if said.Acked != said.Frames {
		t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
	}
	recordedWhole(t, other.url, said)
	gap, lost := ear.longest()
	t.Logf("%d frames sent again; the listener on the other edge missed %d of %d, longest gap %v", said.Resent, ear.missing(), said.Frames, gap.Round(time.Millisecond))
	if lost > 0 || gap > 3*time.Second || ear.missing() > 150 {
		t.Errorf("the listener on the other edge: %d lost sockets, gap %v, %d frames missing", lost, gap, ear.missing())
	}

	var joined, moved, tracks int
	for _, e := range events(t, other.url, f.token("looker"), "hall") {
		switch e.Type {
		case "session.joined":
			joined++
		case "session.moved":
			moved++
		case "track.started":
			tracks++
		case "session.left":
			if !strings.Contains(string(e.Data), string(room.Bye)) {
				t.Errorf("left: %s", e.Data)
			}
		}
	}
	if joined != 2 || moved != 1 || tracks != 1 {
		t.Errorf("%d joins, %d moves, %d tracks; not the same session and track", joined, moved, tracks)
	}
}
