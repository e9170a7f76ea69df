package eventlog_test

import (
	"bytes"
	"fmt"
	"testing"

	"airloom/internal/subject"
)

// Behind the mark new rooms got snapshots, more than one read gives, and then a room that had one before got a newer one. There are
// more messages than the mark counts, and yet that room must be among them.
func TestSnapshotsAreReadBeyondTheMark(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	appendAll(t, log, "hall", joins(0, 3)...)
	snap(t, presence, "hall")
	if n, err := presence.WriteMark(t.Context(), 3, 0); err != nil || n != 1 {
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
