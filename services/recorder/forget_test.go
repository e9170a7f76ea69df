package recorder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// A room that is never idle, with and without recordings, for years.
func TestARoomThatIsNeverIdleDoesNotGrow(t *testing.T) {
	for _, keep := range []room.Keep{room.KeepNone, room.KeepRecord} {
		rm := newKnownRoom(room.NewState("hall", room.Settings{Keep: keep, Speak: room.SpeakGranted}))
		position := uint64(0)
		fold := func(f room.Fact) {
			position++
			rm.apply(&room.Event{Room: "hall", At: time.Unix(1_800_000_000, 0), Fact: f, Position: position}, position)
			for _, rec := range rm.recordings { // as if all of it were stored at once
				for _, track := range rec.members {
					if rm.tracks[track] != nil && rm.tracks[track].closed {
						rec.done[track] = recording.Track{}
					}
				}
				rec.finished = rec.stopped != nil && len(rec.done) == len(rec.members)
			}
			rm.forget()
			if draft, ok := rm.wish("eu"); ok {
				rm.asked = time.Now()
				position++
				rm.apply(&room.Event{Room: "hall", At: time.Unix(1_800_000_000, 0), Fact: draft.Fact, Position: position}, position)
			}
		}
		fold(room.Joined{Session: "s", Identity: "ann", Grants: room.Grants{Speak: true}})
		for i := range 3000 {
			track := fmt.Sprintf("t%d", i)
			fold(room.TrackStarted{Track: track, Session: "s"})
			fold(room.TrackEnded{Track: track})
			if keep == room.KeepRecord {
				fold(room.TrackClosed{Track: track, Through: 1})
			}
		}
		if len(rm.tracks) > 100 || len(rm.recordings) > 100 || len(rm.state.Tracks) > 100 || rm.forgotten == 0 || rm.idle() {
			t.Errorf("keep %s: %d tracks, %d of the state, %d recordings", keep, len(rm.tracks), len(rm.state.Tracks), len(rm.recordings))
		}
	}
}

// A recording that reaches back behind what a recorder remembers holds the same tracks as with a recorder that has just come.
func TestRecordingThatReachesFarBack(t *testing.T) {
	r := newRegion(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	rec, _ := r.recorder(quick(), openStore(t, dirs[0]))
	until(t, "ready", rec.Ready)
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.Set(room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	})
	stays := r.speaker("den")
	voice := speech(t, 10)
	var since uint64
	for i := range 100 {
		s := r.speaker("den")
		if i == 40 {
			state, err := r.log.Load(t.Context(), "den")
			if err != nil {
				t.Fatal(err)
			}
			since = state.Position
		}
		s.say(0, 0, voice)
		s.end(0, 9)
		s.leave()
	}
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.StartRecording(room.RecordingStarted{Recording: "r1", By: "mod", Since: since})
	})
	r.decide("den", func(s *room.State) (room.Draft, error) { return s.StopRecording(s.Recording, 0) })
	stays.say(0, 0, voice)
	stays.end(0, 9)
	r.recorder(quick(), openStore(t, dirs[1]))
	var manifests []string
	for _, dir := range dirs {
		m := closed(t, dir, 1)[0]
		if len(m.Tracks) != 61 || slices.ContainsFunc(m.Tracks, func(t recording.Track) bool { return t.Frames != 10 }) {
			t.Errorf("%d tracks, want 60 and the one that goes on", len(m.Tracks))
		}
		data, err := os.ReadFile(filepath.Join(dir, recording.ManifestKey("r1")))
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(data))
	}
	if manifests[0] != manifests[1] {
		t.Error("the manifests differ")
	}
}
