package recorder

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// set is what an edge appends where a moderator changes keep.
func (r *region) set(name string, keep room.Keep) {
	r.t.Helper()
	log := r.head() + 1
	r.decide(name, func(s *room.State) (room.Draft, error) {
		wanted := room.Settings{Keep: keep, Speak: room.SpeakGranted}
		if !s.TurnsRecord(wanted) {
			return s.Set(wanted)
		}
		return s.SetAt(wanted, log)
	})
}

func (r *region) state(name string) *room.State {
	r.t.Helper()
	s, err := r.log.Load(r.t.Context(), name)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// recordedIn waits until a recording other than one is open.
func (r *region) recordedIn(name, other string) (id string) {
	r.t.Helper()
	until(r.t, "another recording is open", func() bool { id = r.state(name).Recording; return id != "" && id != other })
	return id
}

// facts are those of one type in a room's log.
func factsOf[F room.Fact](r *region, name string) (out []F) {
	r.t.Helper()
	if err := r.log.Events(r.t.Context(), name, 0, func(e *room.Event) error {
		if f, ok := e.Fact.(F); ok {
			out = append(out, f)
		}
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// leftAlone is a speaker who has said something while a recorder ran, which has begun a recording and is no more.
func (r *region) leftAlone(dir string, voice [][]byte) (one *speaker, id string) {
	r.t.Helper()
	_, kill := r.recorder(quick(), openStore(r.t, dir))
	one = r.speaker("hall")
	one.say(0, 0, voice)
	id = r.recordedIn("hall", "")
	if err := kill(); err != nil {
		r.t.Fatal(err)
	}
	return one, id
}

// The last track ends and the next one begins before a recorder has found out: the recording goes on, and whoever wants it stopped can.
func TestATrackThatBeginsAsTheLastOneEnds(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	voice := speech(t, 60)
	one, id := r.leftAlone(dir, voice[:20])
	one.end(0, 19)
	two := r.speaker("hall")
	two.say(0, 0, voice[:20])
	r.recorder(quick(), openStore(t, dir))
	until(t, "the recorder has found it idle", func() bool { return len(factsOf[room.RecordingStopped](r, "hall")) > 0 })
	if s := r.state("hall"); s.Recording != id || !s.StopsRecord(room.Settings{Keep: room.KeepRewind}) {
		t.Errorf("recording %q, want %q", s.Recording, id)
	}
	r.recordOff("hall")
	two.say(0, 20, voice[20:])
	m := closed(t, dir, 1)[0]
	if len(m.Tracks) != 2 || m.Tracks[0].Frames != 20 || m.Tracks[1].SHA256 != digest(voice[:20]...) || m.Tracks[1].End != recording.EndStopped {
		t.Errorf("%+v", m)
	}
}

// A recorder was away while keep went to and fro: it records what was said while it was record, and nothing else.
func TestARecorderThatComesLate(t *testing.T) {
	r := newRegion(t)
	dir, second := t.TempDir(), t.TempDir()
	voice := speech(t, 100)
	one := r.speaker("hall") // keep: record
	one.say(0, 0, voice[:20])
	r.set("hall", room.KeepRewind)
	one.say(0, 20, voice[20:40])
	two := r.speaker("hall")
	two.say(0, 0, voice[:20])
	r.set("hall", room.KeepRecord)
	one.say(0, 40, voice[40:60])
	two.say(0, 20, voice[20:40])
	r.set("hall", room.KeepNone)
	one.say(0, 60, voice[60:])
	one.end(0, 99)
	r.recorder(quick(), openStore(t, dir))
	r.recorder(quick(), openStore(t, second))
	for _, where := range []string{dir, second} {
		got := closed(t, where, 2)
		if first := got[0]; len(first.Tracks) != 1 || first.Tracks[0].SHA256 != digest(voice[:20]...) || first.Through != 2 || first.Tracks[0].End != recording.EndStopped {
			t.Errorf("first: %+v", first)
		}
		if m := got[1]; len(m.Tracks) != 2 || m.Tracks[0].SHA256 != digest(voice[40:60]...) || m.Tracks[1].SHA256 != digest(voice[20:40]...) || m.From != 6 || m.Through != 10 {
			t.Errorf("second: %+v", m)
		}
	}
	if got, want := tree(t, dir), tree(t, second); !slices.Equal(got, want) {
		t.Errorf("two recorders differ: %v %v", got, want)
	}
}

// keep is set back and to record again, and the edge that did the first has died before it stopped the recording: that one ends, and another
// one goes on.
func TestKeepIsSetToAndFro(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	voice := speech(t, 60)
	one, first := r.leftAlone(dir, voice[:20])
	r.set("hall", room.KeepRewind)
	one.say(0, 20, voice[20:40])
	r.set("hall", room.KeepRecord)
	r.recorder(quick(), openStore(t, dir))
	r.recordedIn("hall", first)
	one.say(0, 40, voice[40:])
	one.end(0, 59)
	got := closed(t, dir, 2)
	if m := got[0]; m.Recording != first || m.Through == 0 || m.Tracks[0].End != recording.EndStopped {
		t.Errorf("first: %+v", m)
	}
	if m := got[1]; m.From != 4 || len(m.Tracks) != 1 || m.Tracks[0].SHA256 != digest(voice[40:]...) {
		t.Errorf("second: %+v", m)
	}
}

// A moderator stopped the recording, and a track that begins starts another one: that track is whole in it, and what is missing at its beginning is a
// gap. Of the other one counts what is logged from there on.
func TestATrackThatStartsARecordingIsWhole(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 40)
	one := r.speaker("hall")
	one.say(0, 0, voice[:20])
	first := r.recordedIn("hall", "")
	r.recordOff("hall")
	closed(t, dir, 1)
	two := r.speaker("hall")
	two.say(0, 10, voice[10:30]) // 0-9 never come
	one.say(0, 20, voice[20:])
	r.recordedIn("hall", first)
	two.end(0, 29)
	one.end(0, 39)
	m := closed(t, dir, 2)[1]
	if len(m.Tracks) != 2 {
		t.Fatalf("%+v", m)
	}
	gap := []recording.Gap{{SeqRange: recording.SeqRange{From: 0, To: 9}, Reason: room.PublisherDropped}}
	if whole := m.Tracks[1]; whole.Track != two.track || whole.Epochs[0].First != 0 || !reflect.DeepEqual(whole.Gaps, gap) || whole.Frames != 20 {
		t.Errorf("what started it: %+v", whole)
	}
	if other := m.Tracks[0]; other.SHA256 != digest(voice[20:]...) || other.Epochs[0].First != 20 {
		t.Errorf("the other one: %+v", other)
	}
}

// A recording that is stopped while the audio log has never had anything is empty and closed: the first pack there is none of it.
func TestAStopOnAnEmptyLog(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	r.rewind("den")
	s := r.speaker("den")
	r.recordOn("den", "r1", 0)
	r.decide("den", halt)
	until(t, "a recorder stops it", func() bool { return r.state("den").Recording == "" })
	closed(t, dir, 1)
	r.recordOn("den", "r2", 0)
	r.recordOff("den")
	s.say(0, 0, speech(t, 10))
	for _, m := range closed(t, dir, 2) {
		if m.Through != 0 || len(m.Tracks) != 1 || m.Tracks[0].Frames != 0 || m.Tracks[0].End != recording.EndStopped {
			t.Errorf("%+v", m)
		}
	}
}

// Whether a track has a pack its leader says: a replica that lags finds none where there is one, and is asked again.
func TestOnlyTheLeaderSaysThatThereIsNoPack(t *testing.T) {
	r := newRegion(t)
	s := r.speaker("hall")
	packs := &tap{js: r.connect(bus.Recorder).JetStream(), stream: subject.LogStream("eu")}
	on := subject.Log("eu", s.room, s.track)
	if err := none(t.Context(), packs, on); err != nil {
		t.Errorf("before it says anything: %v", err)
	}
	s.say(0, 0, speech(t, 10))
	if err := none(t.Context(), packs, on); !errors.Is(err, eventlog.ErrAway) {
		t.Errorf("a replica that has not its pack is believed: %v", err)
	}
}
