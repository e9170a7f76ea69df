package room

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// What a newer build appends must not make this one expect a position that its subject has left behind for ever.
func TestUnknownEventsMoveTheirSubjectOn(t *testing.T) {
	s := NewState("hall", Settings{Keep: KeepRecord, Speak: SpeakGranted})
	s.Apply(&Event{Room: "hall", Position: 1, Fact: Joined{Session: "s", Identity: "ann", Edge: "e1", Grants: Grants{Speak: true}}})
	s.Apply(&Event{Room: "hall", Position: 2, Fact: TrackStarted{Track: "t", Session: "s"}})
	before := s.Roster()
	for position, f := range map[uint64]Unknown{5: {Kind: "track", ID: "t", Name: "track.painted"}, 7: {Kind: "session", ID: "s", Name: "session.waved"}} {
		s.Position = 4
		s.Touches(&Event{Fact: f, Position: position})
		s.Apply(&Event{Room: "hall", Fact: f, Position: position})
		if s.Position != position || s.LastOn(f.Kind, f.ID) != position {
			t.Errorf("%s: position %d, subject at %d, want %d", f.Name, s.Position, s.LastOn(f.Kind, f.ID), position)
		}
	}
	if d, err := s.EndTrack(TrackEnded{Track: "t"}); err != nil || d.Expect != 5 {
		t.Errorf("end expects %d, %v", d.Expect, err)
	}
	if now := s.Roster(); len(now) != len(before) || now[0].Session != "s" || len(now[0].Tracks) != 1 {
		t.Errorf("roster %+v", now)
	}
}

func TestUnknownEventsKeepTheirFormAndHideTheirData(t *testing.T) {
	const line = `{"type":"session.joined","v":2,"room":"hall","at":"2026-11-20T12:03:00Z","by":"e","data":{"resume_hash":"secret"}}`
	var e Event
	if err := json.Unmarshal([]byte(line), &e); !errors.Is(err, ErrUnknownType) {
		t.Fatal(err)
	}
	if got, err := json.Marshal(e); err != nil || string(got) != line {
		t.Errorf("%s %v", got, err)
	}
	if got, err := json.Marshal(e.Public()); err != nil || strings.Contains(string(got), "secret") || !strings.Contains(string(got), `"v":2`) {
		t.Errorf("public: %s %v", got, err)
	}
}
