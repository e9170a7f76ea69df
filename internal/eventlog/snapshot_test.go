package eventlog_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

var recordDefaults = room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}

// writer is the log to presence, which alone may write snapshots.
func writer(t *testing.T, server *bus.Server) *eventlog.Log {
	t.Helper()
	return eventlog.New(connect(t, server, bus.Presence), "local", "presence", recordDefaults, slog.New(slog.DiscardHandler))
}

// appendAll appends facts, each behind the newest of its subject.
func appendAll(t *testing.T, log *eventlog.Log, name string, facts ...room.Fact) {
	t.Helper()
	last := map[string]uint64{}
	for _, f := range facts {
		kind, id := f.Subject()
		position, err := log.Append(t.Context(), name, room.Draft{Fact: f, Expect: last[kind+id]}, "")
		if err != nil {
			t.Fatal(err)
		}
		last[kind+id] = position
	}
}

// fold is a room from all of its events, without any snapshot.
func fold(t *testing.T, log *eventlog.Log, name string) *room.State {
	t.Helper()
	state := log.NewState(name)
	if err := log.Events(t.Context(), name, 0, func(e *room.Event) error { state.Apply(e); return nil }); err != nil {
		t.Fatal(err)
	}
	return state
}

func load(t *testing.T, log *eventlog.Log, name string) *room.State {
	t.Helper()
	state, err := log.Load(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func snap(t *testing.T, log *eventlog.Log, name string) eventlog.Snapped {
	t.Helper()
	done, err := log.WriteSnapshot(t.Context(), name, eventlog.Known{})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func joins(from, to int) (facts []room.Fact) {
	for i := from; i < to; i++ {
		random := sha256.Sum256([]byte(strconv.Itoa(i)))
		facts = append(facts, room.Joined{
			Session: fmt.Sprintf("s%d", i), Identity: fmt.Sprintf("i%x", random[:12]), Edge: "e",
			ResumeHash: hex.EncodeToString(random[:]),
		})
	}
	return facts
}

func TestLoadGoesOnFromTheSnapshot(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	if done := snap(t, presence, "hall"); done.Written {
		t.Error("a snapshot of a room without events")
	}
	appendAll(t, log, "hall", joins(0, 5)...)
	if done := snap(t, presence, "hall"); !done.Written || done.Events != 5 {
		t.Errorf("first snapshot: %+v", done)
	}
	if done := snap(t, presence, "hall"); done.Written || done.Events != 5 {
		t.Errorf("nothing is new: %+v", done)
	}
	if got, want := load(t, log, "hall"), fold(t, log, "hall"); !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v, folded %+v", got, want)
	}
	appendAll(t, log, "other", joins(0, 3)...)
	appendAll(t, log, "hall", joins(5, 9)...)
	if got, want := load(t, log, "hall"), fold(t, log, "hall"); !reflect.DeepEqual(got, want) || len(got.Sessions) != 9 {
		t.Errorf("loaded %+v, folded %+v", got, want)
	}
	if done := snap(t, presence, "hall"); !done.Written {
		t.Errorf("second snapshot: %+v", done)
	}
	if log.PassedOver()+presence.PassedOver() != 0 {
		t.Error("a good snapshot was passed over")
	}
}

// That a load begins at the snapshot is seen by one that says something else.
func TestLoadUsesTheSnapshotItFinds(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	other := eventlog.New(connect(t, server, bus.Presence), "local", "x", recordDefaults, slog.New(slog.DiscardHandler))
	appendAll(t, log, "hall", joins(0, 5)...)
	snap(t, presence, "hall")
	first := rawSnapshot(t, server, "hall")
	appendAll(t, other, "hall", room.Left{Session: "s9"})
	snap(t, presence, "hall")
	if bytes.Equal(first, rawSnapshot(t, server, "hall")) {
		t.Error("the newer snapshot is the older one")
	}
	at := load(t, log, "hall").At()
	if state, err := log.LoadAt(t.Context(), "hall", at.Add(-time.Nanosecond)); err != nil || state.Events() != 5 {
		t.Errorf("before the snapshot's newest event: %+v, %v", state, err)
	}
	if state, err := log.LoadAt(t.Context(), "hall", at); err != nil || state.Events() != 6 {
		t.Errorf("at the snapshot's newest event: %+v, %v", state, err)
	}
	appendAll(t, log, "hall", joins(5, 6)...)
	if state, err := log.LoadAt(t.Context(), "hall", at); err != nil || state.Events() != 6 {
		t.Errorf("between the snapshot and what came later: %+v, %v", state, err)
	}
}

func rawSnapshot(t *testing.T, server *bus.Server, name string) []byte {
	t.Helper()
	stream, err := connect(t, server, bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetLastMsgForSubject(t.Context(), subject.Snapshot("local", name))
	if err != nil {
		t.Fatal(err)
	}
	return msg.Data
}

func putSnapshot(t *testing.T, server *bus.Server, on string, data []byte) {
	t.Helper()
	if _, err := connect(t, server, bus.Presence).JetStream().Publish(t.Context(), on, data); err != nil {
		t.Fatal(err)
	}
}

// Row 87 of the catalogue, for snapshots: whatever is wrong with one, the room is folded from its events, and it is told.
func TestRow87DamagedSnapshotsCostTimeOnly(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	appendAll(t, log, "hall", joins(0, 5)...)
	appendAll(t, log, "lab", joins(0, 5)...)
	snap(t, presence, "hall")
	snap(t, presence, "lab")
	good := rawSnapshot(t, server, "hall")
	line, _, _ := bytes.Cut(good, []byte{'\n'})
	flipped := bytes.Clone(good)
	flipped[len(flipped)-3] ^= 4
	for name, data := range map[string][]byte{
		"zero length": nil, "no line": []byte("{}"), "not JSON": []byte("x\nyy"), "cut": good[:len(good)-1], "flipped bit": flipped, "no state": append(line, '\n'),
		"newer form":      bytes.Replace(good, []byte(`"version":1`), []byte(`"version":9`), 1),
		"of another room": rawSnapshot(t, server, "lab"),
		"absurd parts":    bytes.Replace(good, []byte(`"parts":1`), []byte(`"parts":1000000000`), 1),
		"negative size":   bytes.Replace(good, []byte(`"size":`), []byte(`"size":-`), 1),
		"lost parts":      bytes.Replace(good, []byte(`"parts":1`), []byte(`"parts":3`), 1),
		"other position":  bytes.Replace(good, []byte(`"position":5`), []byte(`"position":4`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			putSnapshot(t, server, subject.Snapshot("local", "hall"), data)
			var said bytes.Buffer
			reader := eventlog.New(connect(t, server, bus.Edge), "local", "e", recordDefaults, slog.New(slog.NewTextHandler(&said, nil)))
			if got := load(t, reader, "hall"); !reflect.DeepEqual(got, fold(t, reader, "hall")) {
				t.Errorf("loaded %+v", got)
			}
			if reader.PassedOver() != 1 || !strings.Contains(said.String(), "hall") {
				t.Errorf("passed over %d, said %s", reader.PassedOver(), &said)
			}
			if done := snap(t, presence, "hall"); !done.Written {
				t.Error("it was not replaced by a good one")
			}
			if got := load(t, log, "hall"); !reflect.DeepEqual(got, fold(t, log, "hall")) {
				t.Errorf("loaded %+v", got)
			}
		})
	}
}

// Row 85: the event stream was deleted and began anew; its positions mean other events.
func TestRow85SnapshotsOfAnotherStreamAreNotBelieved(t *testing.T) {
	server, _, log := open(t)
	presence := writer(t, server)
	admin := connect(t, server, bus.Admin)
	appendAll(t, log, "hall", joins(0, 3)...)
	snap(t, presence, "hall")
	if n, err := presence.WriteMark(t.Context(), 3, eventlog.Written{}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := presence.WriteMark(t.Context(), 3, eventlog.Written{Messages: 2}); !errors.Is(err, eventlog.ErrPurged) || n != 1 {
		t.Fatal(n, err)
	}
	if region, err := presence.Snapshots(t.Context()); err != nil || len(region.Rooms) != 1 || region.Mark.Position != 3 {
		t.Fatalf("region %+v, %v", region, err)
	}
	if err := admin.JetStream().DeleteStream(t.Context(), subject.EventStream("local")); err != nil {
		t.Fatal(err)
	}
	if err := admin.EnsureStreams(t.Context(), bus.Streams{Region: "local"}); err != nil {
		t.Fatal(err)
	}
	for _, upTo := range []int{12, 14, 17} { // shorter than the snapshot, as long, longer
		appendAll(t, log, "hall", joins(upTo-2, upTo)...)
		if got := load(t, log, "hall"); !reflect.DeepEqual(got, fold(t, log, "hall")) {
			t.Errorf("loaded %+v", got)
		}
		if region, err := presence.Snapshots(t.Context()); err != nil || len(region.Rooms) != 0 {
			t.Errorf("region %+v, %v", region, err)
		}
	}
	if done := snap(t, presence, "hall"); !done.Written {
		t.Error("the snapshot of another stream was not replaced")
	}
	if passed := log.PassedOver(); passed != 3 {
		t.Errorf("%d snapshots passed over, want 3", passed)
	}
}

// Of two that write at once one is refused, and an older fold never takes the place of a newer one.
func TestOneOfTwoSnapshotsIsStored(t *testing.T) {
	server, _, log := open(t)
	logs := []*eventlog.Log{writer(t, server), writer(t, server), writer(t, server)}
	for round := range 5 {
		appendAll(t, log, "hall", joins(round, round+1)...)
		var wg sync.WaitGroup
		for _, w := range logs {
			wg.Go(func() {
				if _, err := w.WriteSnapshot(t.Context(), "hall", eventlog.Known{}); err != nil && !errors.Is(err, eventlog.ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if done := snap(t, logs[0], "hall"); done.Written || done.Events != uint64(round+1) {
			t.Errorf("round %d: %+v", round, done)
		}
	}
	if got := load(t, log, "hall"); !reflect.DeepEqual(got, fold(t, log, "hall")) {
		t.Error("loaded otherwise")
	}
}

func TestAnEdgeCannotWriteSnapshots(t *testing.T) {
	_, _, log := open(t)
	appendAll(t, log, "hall", joins(0, 1)...)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, err := log.WriteSnapshot(ctx, "hall", eventlog.Known{}); !errors.Is(err, eventlog.ErrAway) {
		t.Errorf("WriteSnapshot = %v, want a denied publish", err)
	}
}
