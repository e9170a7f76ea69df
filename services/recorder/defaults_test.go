package recorder

import (
	"slices"
	"testing"
	"time"

	"airloom/internal/blob"
	"airloom/internal/room"
)

// A region's default becomes record: of rooms that nobody has set what is said from then on is recorded, and not their past.
func TestAChangedDefaultRecordsNothingOfThePast(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rewind := room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}
	_, stop := r.recorderBy(quick(), openStore(t, dir), rewind)
	voice := speech(t, 60)
	one, stays := r.speaker("hall"), r.speaker("hall")
	one.say(0, 0, voice[:20])
	one.end(0, 19)
	stays.say(0, 0, voice[:20])
	r.folded(openStore(t, dir))
	change(t, stop())

	r.recorder(quick(), openStore(t, dir))
	two := r.speaker("hall")
	r.recordedIn("hall", "")
	two.say(0, 0, voice[:20])
	stays.say(0, 20, voice[20:])
	two.end(0, 19)
	stays.end(0, 59)
	m := closed(t, dir, 1)[0]
	if len(m.Tracks) != 2 || m.Tracks[0].Track != stays.track || m.Tracks[1].Track != two.track || m.Tracks[0].Epochs[0].First != 20 {
		t.Errorf("%+v", m)
	}
}

// folded waits for a checkpoint of all events.
func (r *region) folded(store *blob.Store) (c checkpoint) {
	r.t.Helper()
	until(r.t, "a checkpoint of all events is stored", func() bool {
		c = storedPoint(r.t, store)
		return c.Events.Position == r.state("hall").Position
	})
	return c
}

// A recorder's stop of an idle recording was refused because of an append that then failed, and the recorder died: the next one stops it, though
// no event comes any more.
func TestAResumedRoomIsProposedFor(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := openStore(t, dir)
	_, stop := r.recorder(quick(), store)
	one := r.speaker("hall")
	one.say(0, 0, speech(t, 20))
	r.recordedIn("hall", "")
	c := r.folded(store)
	change(t, stop())
	one.end(0, 19)
	r.decide("hall", func(s *room.State) (room.Draft, error) { return s.CloseTrack(one.track, r.logged()) })
	c.Events.Position = r.state("hall").Position
	data, err := c.encode()
	change(t, err)
	change(t, store.Put(t.Context(), checkpointKey("eu"), data))
	r.recorder(quick(), store)
	if m := closed(t, dir, 1)[0]; len(m.Tracks) != 1 || m.Tracks[0].Frames != 20 {
		t.Errorf("%+v", m)
	}
}

// foldUnder is a room as a recorder with these defaults knows it behind some facts, at positions from 1.
func foldUnder(keep room.Keep, facts ...room.Fact) *knownRoom {
	rm := newKnownRoom(room.NewState("hall", room.Settings{Keep: keep, Speak: room.SpeakGranted}))
	for i, fact := range facts {
		rm.apply(&room.Event{Room: "hall", At: time.Unix(int64(i), 0), Fact: fact, Position: uint64(i + 1)}, 0)
	}
	return rm
}

// A room in which a moderator has stopped the recording is set to record, and later no longer. A recorder without keep by default starts what it
// takes to be due at the first change, and too late; one with it has nothing due there, and finds the same end.
func TestALateRecordingEndsAlikeUnderOtherDefaults(t *testing.T) {
	record, rewind := room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}, room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}
	facts := []room.Fact{
		room.Joined{Session: "s", Identity: "i", Grants: room.Grants{Speak: true}}, room.TrackStarted{Track: "t1", Session: "s"},
		room.RecordingStarted{Recording: "a", By: room.ByKeep, Since: 2}, room.RecordingStopping{Recording: "a"}, room.RecordingStopped{Recording: "a", Through: 9},
		room.Created{Settings: record}, room.Changed{Settings: rewind, Log: 20}, room.TrackStarted{Track: "t2", Session: "s"},
		room.RecordingStarted{Recording: "b", By: room.ByKeep, Since: 6, From: 9},
	}
	for _, keep := range []room.Keep{room.KeepRecord, room.KeepRewind} {
		rec := foldUnder(keep, facts...).recording("b")
		if _, cut := rec.cut["t1"]; !slices.Equal(rec.members, []string{"t1"}) || rec.through != 19 || !cut || !rec.left {
			t.Errorf("with keep %s by default it holds %v up to %d of %v", keep, rec.members, rec.through, rec.cut)
		}
	}
}
