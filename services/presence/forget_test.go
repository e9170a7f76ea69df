package presence

import (
	"fmt"
	"testing"
	"time"

	"airloom/internal/room"
)

// A presence that lives for years holds what is, not what has been.
func TestEmptyRoomsAreSmallAndThenGone(t *testing.T) {
	w, now := newWatch(quick("p1").withDefaults(), defaults), time.Now()
	position := uint64(0)
	fold := func(name string, f room.Fact) {
		position++
		w.Apply(&room.Event{Room: name, At: now, Fact: f, Position: position}, now)
	}
	for i := range 500 {
		name := fmt.Sprintf("room%d", i)
		if i%2 == 0 {
			fold(name, room.Created{Settings: room.Settings{Keep: room.KeepRecord, Capacity: i}})
		}
		for j := range 5 {
			session, track := fmt.Sprintf("s%d-%d", i, j), fmt.Sprintf("t%d-%d", i, j)
			fold(name, room.Joined{Session: session, Identity: session, Edge: "e", Grants: room.Grants{Speak: true}})
			fold(name, room.TrackStarted{Track: track, Session: session})
			fold(name, room.Left{Session: session})
			fold(name, room.TrackClosed{Track: track})
			fold(name, room.GapDeclared{Track: track})
		}
	}
	for name, rm := range w.rooms {
		if len(rm.sessions)+len(rm.state.Tracks)+len(rm.state.Sessions) > 0 || rm.state.LastOn("gap", "t0-0") != 0 {
			t.Fatalf("%s: %d sessions, %d tracks", name, len(rm.sessions), len(rm.state.Tracks))
		}
	}
	now = now.Add(forgetAfter + time.Minute)
	if w.Due(now); len(w.rooms) != 250 {
		t.Errorf("%d rooms, want those 250 that were created", len(w.rooms))
	}
	if rm := w.rooms["room8"]; rm.state.Settings.Capacity != 8 || rm.state.Settings.Keep != room.KeepRecord {
		t.Errorf("%+v", rm.state.Settings)
	}
}
