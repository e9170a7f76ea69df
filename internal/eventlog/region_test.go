package eventlog_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/subject"
)

// Behind the mark new rooms got snapshots, more than one read gives, and then a room that had one before got a newer one. There are
// more messages than the mark counts, and yet that room must be among them.
func TestSnapshotsAreReadBeyondTheMark(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	appendAll(t, log, "hall", joins(0, 3)...)
	snap(t, presence, "hall")
	if n, err := presence.WriteMark(t.Context(), 3, eventlog.Written{}); err != nil || n != 1 {
		t.Fatalf("%d messages, %v", n, err)
	}
	for i := range 5 {
		putSnapshot(t, server, subject.Snapshot("local", fmt.Sprint("new-", i)), bytes.Repeat([]byte{'x'}, 900<<10))
	}
	appendAll(t, log, "hall", joins(3, 4)...)
	snap(t, presence, "hall")
	region, err := presence.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, state := range region.Rooms {
		if state.Room == "hall" {
			there = state.Occupied()
		}
	}
	if there != 4 {
		t.Errorf("%d of 4 are in the hall; %d rooms, mark at %d", there, len(region.Rooms), region.Mark.Position)
	}
}

// All snapshots are purged, and before anybody has looked there are as many again, of other rooms: the mark went with them, and that
// tells.
func TestAPurgeThatLeavesTheNumberAsItWasIsNoticed(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	appendAll(t, log, "hall", joins(0, 3)...)
	snap(t, presence, "hall")
	known, err := presence.WriteMark(t.Context(), 3, eventlog.Written{})
	if err != nil || known != 1 {
		t.Fatalf("%d messages, %v", known, err)
	}
	stream, err := connect(t, server, bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, log, "lab", joins(0, 2)...)
	snap(t, presence, "lab")
	if known, err = presence.WriteMark(t.Context(), 5, eventlog.Written{Messages: known}); !errors.Is(err, eventlog.ErrPurged) {
		t.Errorf("a mark that promises the hall: %v", err)
	}
	snap(t, presence, "hall") // what is owed again is written again
	for _, position := range []uint64{0, 5} {
		if known, err = presence.WriteMark(t.Context(), position, eventlog.Written{Messages: known}); err != nil {
			t.Fatal(err)
		}
	}
	if region, err := presence.Snapshots(t.Context()); err != nil || len(region.Rooms) != 2 || region.Mark.Position != 5 {
		t.Errorf("%d rooms up to %d, %v", len(region.Rooms), region.Mark.Position, err)
	}
}

// One room's snapshot was purged and the room is forgotten, so there will never be as many messages again: once the caller says that all
// there is was written anew, the mark counts what is there.
func TestAMarkCountsDownWhereAllIsWrittenAnew(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	appendAll(t, log, "hall", joins(0, 3)...)
	appendAll(t, log, "lab", joins(0, 2)...)
	snap(t, presence, "hall")
	snap(t, presence, "lab")
	known, err := presence.WriteMark(t.Context(), 5, eventlog.Written{})
	if err != nil || known != 2 {
		t.Fatalf("%d messages, %v", known, err)
	}
	stream, err := connect(t, server, bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(subject.Snapshot("local", "lab"))); err != nil {
		t.Fatal(err)
	}
	if known, err = presence.WriteMark(t.Context(), 5, eventlog.Written{Messages: known}); !errors.Is(err, eventlog.ErrPurged) || known != 1 {
		t.Fatalf("%d messages, %v", known, err)
	}
	for _, c := range []struct{ position, want uint64 }{{5, 0}, {4, 4}} { // 4: one who folds behind another presence says so as well
		if known, err = presence.WriteMark(t.Context(), c.position, eventlog.Written{Messages: known, Anew: c.want != 0}); err != nil {
			t.Fatal(err)
		}
		region, err := presence.Snapshots(t.Context())
		if err != nil || region.Mark.Position != c.want || len(region.Rooms) != min(int(c.want), 1) {
			t.Errorf("%d rooms up to %d, want up to %d, %v", len(region.Rooms), region.Mark.Position, c.want, err)
		}
	}
}
