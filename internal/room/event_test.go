package room

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata/events.golden anew")

// one of each type, in the order of docs/events.md.
func oneOfEach() []Event {
	settings := Settings{Keep: KeepRecord, Capacity: 200, Speak: SpeakGranted}
	facts := []Fact{
		Created{Settings: settings}, Changed{Settings: settings}, Closed{Reason: "over"}, Opened{Settings: settings},
		Joined{
			Session: "s1", Identity: "ann", Name: "Ann", Grants: Grants{Listen: true, Speak: true}, Edge: "e1",
			ResumeHash: "00ff", Agent: "airloom 1",
		},
		Moved{Session: "s1", Edge: "e2"}, Granted{Session: "s1", Grants: Grants{Listen: true}, By: "bob"}, Away{Session: "s1", Edge: "e2", Reason: SocketLost}, Left{Session: "s1", Reason: Bye},
		TrackStarted{
			Track: "aaaaaai", Handle: 1, Session: "s1", Name: "mic", Label: "Microphone", Channels: 1, FrameMS: 20,
			Clock: &Clock{Timestamp: 960, UnixMicro: 1795190580123456},
		},
		TrackMuted{Track: "aaaaaai"}, TrackUnmuted{Track: "aaaaaai"}, TrackEnded{Track: "aaaaaai", Epoch: 1, Last: -1},
		GapDeclared{Track: "aaaaaai", From: 5, To: 9, Reason: PublisherDropped, Through: 77},
		TrackClosed{Track: "aaaaaai", Through: 78},
		RecordingStarted{Recording: "r1", By: "keep", Since: 9}, RecordingStopped{Recording: "r1"},
		Changed{settings, 4711}, RecordingStarted{Recording: "r1", By: "ann", Since: 9, From: 4711}, RecordingStopping{Recording: "r1"}, RecordingStopped{Recording: "r1", Through: 5200},
		RecordingStopped{Recording: "r1", Idle: true},
	}
	events := make([]Event, len(facts))
	for i, f := range facts {
		events[i] = Event{Room: "town-hall", At: time.Date(2026, 11, 20, 12, 3, 0, 123456000, time.UTC), By: "e1", Fact: f}
	}
	events[4].Traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	return events
}

// The wire form of an event never changes: what is in somebody's log must be read for ever. Fields are only added.
func TestWireFormOfEveryType(t *testing.T) {
	const path = "testdata/events.golden"
	var got bytes.Buffer
	for _, e := range oneOfEach() {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		got.Write(append(line, '\n'))
	}
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("wire form differs from %s:\n%s", path, got.Bytes())
	}
	for i, line := range bytes.Split(bytes.TrimSpace(want), []byte("\n")) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(e, oneOfEach()[i]) {
			t.Errorf("line %d reads as %+v", i+1, e)
		}
	}
}

func TestEveryTypeIsInTheTable(t *testing.T) {
	var have []string
	for _, e := range oneOfEach() {
		have = append(have, e.Fact.Type())
	}
	for name := range facts {
		if !slices.Contains(have, name) {
			t.Errorf("%s has no row in the golden file", name)
		}
	}
}

func TestUnknownTypesAreTold(t *testing.T) {
	for _, line := range []string{
		`{"type":"session.teleported","v":1,"room":"a","data":{}}`,
		`{"type":"session.left","v":2,"room":"a","data":{}}`,
	} {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); !errors.Is(err, ErrUnknownType) {
			t.Errorf("%s: %v, want ErrUnknownType", line, err)
		}
	}
	var e Event
	if err := json.Unmarshal([]byte(`{"type":"track.ended","v":1,"data":{"last":"many"}}`), &e); err == nil || errors.Is(err, ErrUnknownType) {
		t.Errorf("a known type that does not decode: %v", err)
	}
}

func TestPublicHidesTheResumeHash(t *testing.T) {
	e := oneOfEach()[4]
	if got := e.Public().Fact.(Joined).ResumeHash; got != "" {
		t.Errorf("resume hash %q is public", got)
	}
	if e.Fact.(Joined).ResumeHash == "" {
		t.Error("Public changed its receiver")
	}
}

func FuzzEvent(f *testing.F) {
	for _, e := range oneOfEach() {
		line, _ := json.Marshal(e)
		f.Add(line)
	}
	f.Add([]byte(`{"type":"session.teleported","v":2,"room":"a","data":{"to":[1]}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil && !errors.Is(err, ErrUnknownType) {
			return
		}
		e.Position = 1
		s := NewState("a", Settings{})
		s.Touches(&e)
		s.Apply(&e)
		s.Roster()
		if _, err := json.Marshal(e); err != nil {
			t.Fatalf("%+v does not encode: %v", e, err)
		}
	})
}
