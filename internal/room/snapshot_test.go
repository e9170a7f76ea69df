package room

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var hallDefaults = Settings{Keep: KeepRewind, Speak: SpeakGranted}

// anyFact draws what may stand in a log, decided well or not: writers race, and a build may meet events of a newer one.
func anyFact(t *rapid.T) Fact {
	id := func(label, of string) string {
		return of + rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6"}).Draw(t, label)
	}
	session, track, number := id("session", "s"), id("track", "t"), rapid.Uint32Range(0, 9).Draw(t, "number")
	settings := Settings{Keep: KeepRecord, Capacity: int(number % 4), Speak: SpeakGranted}
	grants := Grants{Listen: true, Speak: number%2 == 0, Moderate: number%3 == 0}
	reason := rapid.SampledFrom([]Reason{Bye, Timeout, Kicked, Replaced, RoomFull}).Draw(t, "reason")
	var clock *Clock
	if number > 5 {
		clock = &Clock{Timestamp: number, UnixMicro: int64(number)}
	}
	return rapid.SampledFrom([]Fact{
		Created{Settings: settings}, Changed{settings, 7}, Opened{settings, 8}, Closed{Reason: "over"},
		Joined{Session: session, Identity: id("identity", "i"), Name: "Ä\u2028<b>", Grants: grants, Edge: id("edge", "e"), ResumeHash: id("hash", "h")},
		Joined{Session: session, Identity: id("other", "i"), Edge: "e1"},
		Moved{Session: session, Edge: id("to", "e")}, Granted{Session: session, Grants: grants, By: "i1"}, Granted{Session: session, Grants: grants, By: ByToken},
		Away{Session: session, Edge: id("at", "e"), Reason: EdgeLost}, Left{Session: session, Reason: reason},
		TrackStarted{Track: track, Handle: number, Session: session, Name: "mic", Channels: 1, FrameMS: 2.5, Epoch: uint8(number), Clock: clock},
		TrackStarted{Track: "new" + fmt.Sprint(rapid.IntRange(0, 1_000_000).Draw(t, "new")), Session: session},
		TrackMuted{Track: track}, TrackUnmuted{Track: track}, TrackEnded{Track: track, Epoch: 1, Last: int64(number) - 1},
		TrackClosed{Track: track, Through: 7}, GapDeclared{Track: track, From: number, To: number + 3, Reason: Rejected},
		RecordingStarted{Recording: id("recording", "r"), By: "i1"}, RecordingStopping{Recording: id("recording", "r")}, RecordingStopped{Recording: id("stopped", "r"), Idle: number%2 == 0},
		Unknown{Kind: "session", ID: session, Name: "session.waved", Version: 2, Data: json.RawMessage(`{}`)},
	}).Draw(t, "fact")
}

// anyEvent draws an event as it is read from the log. Clocks of writers are not in step.
func anyEvent(t *rapid.T, position uint64) *Event {
	at := time.Unix(1_800_000_000+rapid.Int64Range(-900, 900).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
	fact := anyFact(t)
	if _, unknown := fact.(Unknown); unknown {
		return &Event{Room: "hall", At: at.UTC(), By: "e", Fact: fact, Position: position}
	}
	b, err := json.Marshal(Event{Room: "hall", At: at, By: "e", Fact: fact, Position: position})
	if err != nil {
		t.Fatal(err)
	}
	e := new(Event)
	if err := json.Unmarshal(b, e); err != nil {
		t.Fatal(err)
	}
	return e
}

func restored(t interface{ Fatal(...any) }, s *State) *State {
	b, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Restore(b, s.Room, s.tally.defaults)
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Snapshot()
	if err != nil || !bytes.Equal(b, second) {
		t.Fatal("a restored state has another form", err)
	}
	return again
}

// What is restored is equal to what was folded, and stays so whatever comes after.
func TestRestoredEqualsFolded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		folded := NewState("hall", hallDefaults)
		folded.KeepOver = rapid.Bool().Draw(t, "keep over")
		var lineages []*State
		for position, n := uint64(1), rapid.Uint64Range(1, 120).Draw(t, "events"); position <= n; position++ {
			e := anyEvent(t, position*3)
			folded.Apply(e)
			for _, s := range lineages {
				s.Apply(e)
			}
			if what := rapid.IntRange(0, 20).Draw(t, "then"); what == 0 {
				folded.Rest()
				for _, s := range lineages {
					s.Rest()
				}
			} else if what == 1 && folded.KeepOver {
				folded.Forget("t1")
				for _, s := range lineages {
					s.Forget("t1")
				}
			} else if what == 2 && len(lineages) < 5 {
				lineages = append(lineages, restored(t, folded))
			}
			for _, s := range lineages {
				if !reflect.DeepEqual(s, folded) {
					t.Fatalf("restored %+v\nfolded   %+v", s, folded)
				}
			}
		}
		if !reflect.DeepEqual(restored(t, folded), folded) {
			t.Fatalf("restored %+v\nfolded   %+v", restored(t, folded), folded)
		}
	})
}

// Tracks that are over are forgotten in the same order.
func TestRestoredForgetsTheSameTracks(t *testing.T) {
	folded, position := NewState("hall", hallDefaults), uint64(0)
	var again *State
	apply := func(f Fact) {
		position++
		e := &Event{Room: "hall", At: time.Unix(1_800_000_000, 0).UTC(), Fact: f, Position: position}
		folded.Apply(e)
		if again != nil {
			again.Apply(e)
		}
	}
	apply(Joined{Session: "s", Identity: "i", Edge: "e"})
	for i := range maxOver + 200 {
		if i == maxOver+100 {
			again = restored(t, folded)
		}
		track := fmt.Sprint("t", i)
		apply(TrackStarted{Track: track, Session: "s"})
		apply(TrackEnded{Track: track, Last: -1})
		apply(TrackClosed{Track: track})
		if again != nil && !reflect.DeepEqual(again, folded) {
			t.Fatalf("after track %d", i)
		}
	}
	if folded.Tracks["t100"] != nil || len(again.Tracks) != maxOver {
		t.Errorf("%d tracks", len(again.Tracks))
	}
}

// A snapshot that is not for this fold is refused, whatever it is.
func TestForeignSnapshotsAreRefused(t *testing.T) {
	s := NewState("hall", hallDefaults)
	s.Apply(&Event{Room: "hall", Fact: Joined{Session: "s", Identity: "i"}, Position: 1})
	s.Apply(&Event{Room: "hall", Fact: TrackStarted{Track: "t", Session: "s"}, Position: 2})
	good, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	with := func(old, by string) []byte {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%s is not in %s", old, good)
		}
		return []byte(strings.Replace(string(good), old, by, 1))
	}
	version := func(n int) string { return fmt.Sprintf(`"version":%d`, n) }
	for name, b := range map[string][]byte{
		"empty": nil, "not JSON": []byte("x"), "cut": good[:len(good)-1], "null": []byte("null"), "a list": []byte("[]"),
		"newer version":  with(version(SnapshotVersion), version(SnapshotVersion+1)),
		"older version":  with(version(SnapshotVersion), version(SnapshotVersion-1)),
		"other shape":    with(shape, "0123456789abcdef"),
		"other room":     with(`"room":"hall"`, `"room":"lab"`),
		"other defaults": with(`"defaults":{"keep":"rewind"`, `"defaults":{"keep":"none"`),
		"lost track":     with(`"tracks":["t"]`, `"tracks":["u"]`),
		"null session":   with(`"sessions":[{`, `"sessions":[{"session":null},{`),
		"null track":     with(`"tracks":[{"track":{`, `"tracks":[{"track":null},{"track":{`),
		"no index":       with(`"over":null`, `"over":null,"odd":{}`),
	} {
		if _, err := Restore(b, "hall", hallDefaults); !errors.Is(err, ErrSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Restore(good, "hall", hallDefaults); err != nil {
		t.Error(err)
	}
	s.Apply(&Event{Room: "hall", At: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), Fact: Closed{}, Position: 3})
	if _, err := s.Snapshot(); err == nil {
		t.Error("a time that JSON cannot hold was written down")
	}
}

// A state with a field more, or a build with an event more, has another shape.
func TestShapeTellsWhatIsFolded(t *testing.T) {
	events := []string{"room.created", "session.joined"}
	type inner struct{ A int }
	type state struct{ M map[string]*inner }
	same, more := shapeOf(state{}, events), shapeOf(state{}, append(events, "session.waved"))
	type inner2 struct{ A, B int }
	type state2 struct{ M map[string]*inner2 }
	if same != shapeOf(state{}, events) || same == more || same == shapeOf(state2{}, events) || len(shape) != 16 {
		t.Errorf("%s %s %s", same, more, shape)
	}
}

func FuzzRestore(f *testing.F) {
	s := NewState("hall", hallDefaults)
	s.Apply(&Event{Room: "hall", Fact: Joined{Session: "s", Identity: "i"}, Position: 1})
	s.Apply(&Event{Room: "hall", Fact: TrackStarted{Track: "t", Session: "s"}, Position: 2})
	good, err := s.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Restore(b, "hall", hallDefaults)
		if err != nil {
			if !errors.Is(err, ErrSnapshot) {
				t.Fatal(err)
			}
			return
		}
		s.Apply(&Event{Room: "hall", Fact: Left{Session: "s"}, Position: s.Position + 1})
		s.Roster()
	})
}

// Ten thousand in a room, as presence writes them and edges read them.
func BenchmarkSnapshot(b *testing.B) {
	s := crowd(10_000)
	data, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(len(data)))
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := Restore(data, "hall", hallDefaults); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(len(data)))
	})
}

func crowd(n int) *State {
	s := NewState("hall", hallDefaults)
	for i := range n {
		s.Apply(&Event{Room: "hall", At: time.Unix(1_800_000_000, int64(i)).UTC(), Position: uint64(i + 1), Fact: Joined{
			Session: fmt.Sprintf("s%025d", i), Identity: fmt.Sprint("person-", i), Name: "A Name", Edge: "edge1", ResumeHash: fmt.Sprintf("%064d", i), Agent: "test",
		}})
	}
	return s
}
