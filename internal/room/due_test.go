package room

import (
	"testing"
	"time"
)

// What is due where no recorder has started it: a track began under keep: record, or was open when keep became that.
func TestWhatIsDue(t *testing.T) {
	record, rewind := Settings{Keep: KeepRecord, Speak: SpeakGranted}, Settings{Keep: KeepRewind, Speak: SpeakGranted}
	joined, one := Joined{Session: "s", Identity: "i", Grants: Grants{Speak: true}}, TrackStarted{Track: "t1", Session: "s"}
	kept, left := RecordingStarted{Recording: "k", By: ByKeep}, Left{Session: "s", Reason: Bye}
	for what, c := range map[string]struct {
		defaults Settings
		facts    []Fact
		due      bool
		left     string
	}{
		"nobody speaks":       {record, []Fact{joined}, false, ""},
		"a track begins":      {record, []Fact{joined, one}, true, ""},
		"it has been started": {record, []Fact{joined, one, kept}, false, ""},
		"a closed room is opened while one goes on":  {rewind, []Fact{joined, one, Closed{}, Opened{record, 5}}, true, ""},
		"keep is record no longer":                   {record, []Fact{joined, one, Created{rewind, 5}}, false, ""},
		"nor is it where it was started":             {record, []Fact{joined, one, kept, Created{rewind, 5}}, false, "k"},
		"nor where it is started too late":           {record, []Fact{joined, one, Created{rewind, 5}, kept}, false, "k"},
		"and it is again":                            {record, []Fact{joined, one, kept, Created{rewind, 5}, Changed{record, 6}}, true, "k"},
		"a set room is empty, and no recorder there": {rewind, []Fact{Created{record, 1}, joined, one, left}, true, ""},
		"one that nobody set, by whatever default":   {record, []Fact{joined, one, left}, false, ""},
		"somebody is left in it":                     {record, []Fact{joined, one, Joined{Session: "s2", Identity: "j"}, left}, true, ""},
	} {
		s := NewState("hall", c.defaults)
		for i, fact := range c.facts {
			s.Apply(&Event{Room: "hall", At: time.Unix(0, 0), Fact: fact, Position: uint64(i + 1)})
		}
		if s.RecordingDue() != c.due || s.LeftRecording() != c.left {
			t.Errorf("%s: due %v, left %q", what, s.RecordingDue(), s.LeftRecording())
		}
	}
}

// Somebody starts a recording while one is due by keep: record that no recorder has started: it holds what is due, and no more.
func TestWhoStartsByHandStartsWhatIsDue(t *testing.T) {
	record, rewind := Settings{Keep: KeepRecord, Speak: SpeakGranted}, Settings{Keep: KeepRewind, Speak: SpeakGranted}
	joined := Joined{Session: "s", Identity: "i", Grants: Grants{Speak: true}} // 1
	one, two := TrackStarted{Track: "t1", Session: "s"}, TrackStarted{Track: "t2", Session: "s"}
	kept, stopped := RecordingStarted{Recording: "k", By: ByKeep, Since: 2}, RecordingStopped{Recording: "k", Through: 9}
	halted := RecordingStopping{Recording: "k"}
	for what, c := range map[string]struct {
		defaults    Settings
		facts       []Fact
		since, from uint64
	}{
		"a track begins":                           {record, []Fact{joined, one, two}, 1, 50},
		"one begins behind a stop":                 {record, []Fact{joined, one, kept, halted, stopped, two}, 5, 50},
		"one begins between the halt and the stop": {record, []Fact{joined, one, kept, halted, two, stopped}, 4, 50},
		"none begins behind a stop":                {record, []Fact{joined, one, kept, halted, stopped}, 0, 50},
		"keep becomes record":                      {rewind, []Fact{joined, one, Created{record, 40}}, 3, 39},
		"keep becomes record, and nobody asked":    {rewind, []Fact{joined, one, Created{record, 0}}, 3, 50},
		"keep becomes record before any track":     {rewind, []Fact{joined, Created{record, 40}, one}, 2, 50},
		"keep is record no longer":                 {record, []Fact{joined, one, Created{rewind, 40}}, 0, 50},
		"keep is record, and set again":            {record, []Fact{joined, one, Created{record, 0}}, 1, 50},
		"keep is set to and fro while one goes on": {record, []Fact{joined, one, kept, Created{rewind, 30}, Changed{record, 40}, halted, stopped}, 5, 39},
		"the start of what was due before is late": {record, []Fact{joined, one, Created{rewind, 30}, Changed{record, 40}, kept, halted, stopped}, 4, 39},
		"a late one goes on":                       {record, []Fact{joined, one, Created{rewind, 30}, Changed{record, 40}, RecordingStarted{Recording: "h", By: "ann"}, RecordingStopping{Recording: "h"}, RecordingStopped{Recording: "h", Through: 45}, kept, two, halted, stopped}, 8, 50},
		"what is due has been started":             {rewind, []Fact{joined, one, Created{record, 40}, RecordingStarted{Recording: "k", By: ByKeep, Since: 3}, halted, stopped}, 0, 50},
	} {
		s := NewState("hall", c.defaults)
		for i, fact := range c.facts {
			s.Apply(&Event{Room: "hall", At: time.Unix(0, 0), Fact: fact, Position: uint64(i + 1)})
		}
		for wish, want := range map[RecordingStarted]RecordingStarted{
			{By: "ann", From: 50}:           {By: "ann", Since: c.since, From: c.from},
			{By: "ann", Since: 1, From: 20}: {By: "ann", Since: 1, From: 20},
			{By: ByKeep, From: 50}:          {By: ByKeep, From: 50},
		} {
			if d, err := s.StartRecording(wish); err != nil || d.Fact != want {
				t.Errorf("%s: %+v gives %+v, %v, want %+v", what, wish, d.Fact, err, want)
			}
		}
	}
}
