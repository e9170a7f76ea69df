package recorder

import (
	"testing"

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
