package recorder

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
)

// A room is set to record while somebody speaks: what is said is recorded though no track starts; set back, the recording ends at
// once, though none has ended.
func TestKeepChangesWhileATrackIsOpen(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	keep := func(k room.Keep, capacity int) {
		r.decide("den", func(s *room.State) (room.Draft, error) {
			return s.Set(room.Settings{Keep: k, Capacity: capacity, Speak: room.SpeakGranted})
		})
	}
	recording := func() string {
		state, err := r.log.Load(t.Context(), "den")
		if err != nil {
			t.Fatal(err)
		}
		return state.Recording
	}
	keep(room.KeepRewind, 0)
	voice := speech(t, 300)
	s := r.speaker("den")
	s.say(0, 0, voice[:100])
	keep(room.KeepRecord, 0)
	until(t, "it is recorded", func() bool { return recording() != "" })
	first := recording()
	s.say(0, 100, voice[100:200])
	keep(room.KeepRewind, 0)
	until(t, "it is recorded no more", func() bool { return recording() == "" })
	s.say(0, 200, voice[200:])

	keep(room.KeepRecord, 0)
	until(t, "it is recorded again", func() bool { return recording() != "" && recording() != first })
	r.decide("den", func(s *room.State) (room.Draft, error) { return s.StopRecording(s.Recording, 0) })
	keep(room.KeepRecord, 7) // another setting does not bring back what a moderator stopped
	s.end(0, 299)
	s.leave()
	for i, m := range closed(t, dir, 2) { // what was said behind it was none of the second one: that began when all was said
		if want := [][][]byte{voice[100:200], nil}[i]; m.By != room.ByKeep || len(m.Tracks) != 1 || m.Tracks[0].SHA256 != digest(want...) {
			t.Errorf("%+v", m)
		}
	}
}

// Recorders that were given different --keep write the same manifest of a room that nobody has set, and none ends what the other has begun.
func TestRecordersWithOtherDefaults(t *testing.T) {
	r := newRegion(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	var said bytes.Buffer
	for i, keep := range []room.Keep{room.KeepRecord, room.KeepRewind} {
		log := eventlog.New(r.connect(bus.Recorder), "eu", "recorder-"+string(keep), room.Settings{Keep: keep, Speak: room.SpeakGranted}, quiet)
		logger := quiet
		if keep != room.KeepRecord {
			logger = slog.New(slog.NewTextHandler(&said, nil))
		}
		rec, err := New(quick(), r.connect(bus.Recorder), log, openStore(t, dirs[i]), logger)
		change(t, err)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- rec.Run(ctx) }()
		end := sync.OnceFunc(func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		defer end()
		t.Cleanup(end)
		if keep != room.KeepRecord {
			s := r.speaker("hall")
			s.say(0, 0, speech(t, 30))
			s.end(0, 29)
			s.leave()
			m := closed(t, dirs[1], 1)[0]
			closed(t, dirs[0], 1)
			if m.Keep != room.KeepRecord || m.By != room.ByKeep || m.Tracks[0].Frames != 30 {
				t.Errorf("%+v", m)
			}
			if got, want := tree(t, dirs[1]), tree(t, dirs[0]); !slices.Equal(got, want) {
				t.Errorf("one:\n%s\nthe other:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			end()
			if count := strings.Count(said.String(), "give all services of the region the same --keep"); count != 1 {
				t.Errorf("warned %d times:\n%s", count, &said)
			}
		}
	}
}
