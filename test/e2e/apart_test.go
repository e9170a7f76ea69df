package e2e

import (
	"slices"
	"testing"
	"time"
)

// Four services and NATS, each a process: what comes in at one edge is heard at the other and recorded.
func TestServicesApart(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.recorder()
	one, two := f.edge(), f.edge()

	listener := listen(t, two.url, "hall", "ear")
	speaker := play(t, nil, "publish", "--url", one.url, "--room", "hall", "--name", "speaker", "--for", "6s", speechOpus)
	for _, at := range []string{one.url, two.url} {
		eventually(t, 5*time.Second, "both are in the roster of "+at, func() bool {
			r, err := roster(at, "", "hall")
			present, away := names(r)
			slices.Sort(present)
			return err == nil && slices.Equal(present, []string{"ear", "speaker"}) && len(away) == 0 && r.Tracks == 1
		})
	}
	var said published
	speaker.end(t, 30*time.Second, &said)
	var got heard
	listener.end(t, 20*time.Second, &got)
	got.same(t, said)
	for _, at := range []string{one.url, two.url} {
		recordedWhole(t, at, said)
		eventually(t, 5*time.Second, "nobody is in the roster of "+at, func() bool {
			r, err := roster(at, "", "hall")
			return err == nil && r.Total == 0 && r.Tracks == 0
		})
	}
}

// With `keep: none` nothing of a room is written down but who was there.
func TestKeepNone(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, natsConf{})[0]
	f := newFabric(t, nats.url())
	f.presence()
	f.recorder()
	e := f.edge()
	f.cli("room", "--url", e.url, "create", "off-record", "--keep", "none").ok()

	listener := listen(t, e.url, "off-record", "ear")
	var said published
	play(t, nil, "publish", "--url", e.url, "--room", "off-record", "--for", "3s", speechOpus).end(t, 30*time.Second, &said)
	var got heard
	listener.end(t, 20*time.Second, &got)
	got.same(t, said)
	if said.Acked != 0 {
		t.Errorf("%d frames acked in a room that keeps nothing", said.Acked)
	}
	f.cli("publish", "--url", e.url, "--room", "off-record", "--rate", "max", speechOpus).fails("keeps nothing", "--keep record")

	// Another room's recording shows that the recorder has read on behind all this.
	recordedWhole(t, e.url, publish(t, e.url, "on-record", "--rate", "max", "--for", "2s", speechOpus))
	if n := logged(t, nats.url(), "", "off-record"); n != 0 {
		t.Errorf("%d packs of the room are in the log", n)
	}
	if n := logged(t, nats.url(), "", "on-record"); n == 0 {
		t.Error("no packs of the other room are in the log: this test looks at the wrong place")
	}
	if all := recordings(t, e.url, "off-record"); len(all) != 0 {
		t.Errorf("the room has recordings: %+v", all)
	}
	for _, one := range files(t, f.blob) {
		if holds(t, one, "off-record") {
			t.Errorf("%s in the store of recordings names the room", one)
		}
	}
}
