package recorder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// head is the newest position of the audio log, as an edge asks for it.
func (r *region) head() uint64 {
	r.t.Helper()
	stream, err := r.edge.JetStream().Stream(r.t.Context(), subject.LogStream("eu"))
	if err != nil {
		r.t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// recordOn and recordOff are what an edge appends for a moderator.
func (r *region) recordOn(name, id string, since uint64) {
	r.t.Helper()
	from := r.head()
	r.decide(name, func(s *room.State) (room.Draft, error) {
		return s.StartRecording(room.RecordingStarted{Recording: id, By: "mod", Since: since, From: from})
	})
}

func halt(s *room.State) (room.Draft, error) { return s.HaltRecording(s.Recording) }

func (r *region) recordOff(name string) {
	r.t.Helper()
	r.decide(name, halt)
	through := r.head()
	r.decide(name, func(s *room.State) (room.Draft, error) { return s.StopRecording(s.Recording, through) })
}

func (r *region) rewind(name string) {
	r.t.Helper()
	r.decide(name, func(s *room.State) (room.Draft, error) {
		return s.Set(room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	})
}

// What is said before a recording is started and after it is stopped is none of it, though the track goes on; a second recording of the track
// has its own part. Both close while the track is open, prove themselves, and are made again byte for byte. Two recorders agree.
func TestARecordingThatIsStoppedStops(t *testing.T) {
	r := newRegion(t)
	dir, second := t.TempDir(), t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	other, stop := r.recorder(quick(), openStore(t, second))
	r.rewind("den")
	voice := speech(t, 3000)
	s := r.speaker("den")
	s.say(0, 0, voice[:730])
	r.recordOn("den", "r1", 0)
	s.say(0, 730, voice[730:1100])
	s.silent(0, 1100, 40)
	s.say(0, 1160, voice[1160:1500]) // 1140-1159 are on their way
	r.recordOff("den")
	s.say(0, 1140, voice[1140:1160])
	s.say(0, 1500, voice[1500:1777])
	closed(t, dir, 1) // though the track goes on
	r.recordOn("den", "r2", 0)
	s.say(0, 1770, voice[1770:1777]) // once more, what was said before
	s.say(0, 1777, voice[1777:2400])
	r.recordOff("den")
	s.say(0, 2400, voice[2400:])
	for _, where := range []string{dir, second} {
		got := closed(t, where, 2)
		one, two := got[0].Tracks[0], got[1].Tracks[0]
		if one.SHA256 != digest(append(slices.Clone(voice[730:1100]), voice[1160:1500]...)...) || one.End != recording.EndStopped || len(got[0].Tracks) != 1 ||
			!slices.Equal(one.Epochs, []recording.Epoch{{First: 730, Last: 1499, FrameMS: 20, Timestamp: 1000 + 730*960}}) ||
			!slices.Equal(one.Gaps, []recording.Gap{{SeqRange: recording.SeqRange{From: 1140, To: 1159}, Reason: room.NotRecorded}}) ||
			!slices.Equal(one.Silence, []recording.SeqRange{{From: 1100, To: 1139}}) {
			t.Errorf("first: %+v", got[0])
		}
		if two.SHA256 != digest(voice[1770:2400]...) || len(two.Gaps) != 0 || two.Epochs[0].First != 1770 || two.Epochs[0].Last != 2399 {
			t.Errorf("second: %+v", got[1])
		}
		near(t, "the first", heard(t, filepath.Join(where, "recordings", "r1", one.File)), 770*0.02)
		near(t, "the second", heard(t, filepath.Join(where, "recordings", "r2", two.File)), 630*0.02)
	}
	want := tree(t, dir)
	if got := tree(t, second); !slices.Equal(got, want) {
		t.Errorf("two recorders differ:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if n := other.metrics.divergences.Load(); n != 0 {
		t.Errorf("%d divergences", n)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"r1", "r2"} {
		if got := rebuilt(t, r, query.RebuildQuestion{Recording: id}); !got.Whole() || got.Missing+got.Damaged+got.Lost != 0 || got.Same == 0 {
			t.Errorf("untouched: %+v", got)
		}
	}
	for _, line := range want {
		change(t, os.Remove(filepath.Join(dir, "recordings", strings.Fields(line)[0])))
	}
	for _, id := range []string{"r1", "r2"} {
		if got := rebuilt(t, r, query.RebuildQuestion{Recording: id}); !got.Whole() || got.PutBack != got.Missing || got.Missing == 0 {
			t.Errorf("rebuilt: %+v", got)
		}
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("rebuilt:\n%s\nwas:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A recorder that reads all of it at once, long after, or is killed on the way, makes the same of it.
func TestAClippedRecordingOverRestarts(t *testing.T) {
	r := newRegion(t)
	dir, late := t.TempDir(), t.TempDir()
	r.rewind("den")
	voice := speech(t, 4000)
	s, whole := r.speaker("den"), r.speaker("den")
	_, kill := r.recorderThatMayFail(killable(), openStore(t, dir))
	restart := func() {
		if err := kill(); err != nil && !errors.Is(err, context.Canceled) {
			t.Log(err)
		}
		_, kill = r.recorderThatMayFail(killable(), openStore(t, dir))
	}
	s.say(0, 0, voice[:300])
	for i := range 3 {
		from := 300 + 1000*i
		r.recordOn("den", fmt.Sprintf("r%d", i), 0)
		s.say(0, uint32(from), voice[from:from+430])
		restart()
		s.say(0, uint32(from)+430, voice[from+430:from+700])
		whole.say(0, uint32(700*i), voice[700*i:700*i+700])
		r.decide("den", halt)
		restart()
		r.recordOff2("den")
		s.say(0, uint32(from)+700, voice[from+700:from+1000])
	}
	whole.end(0, 2099)
	r.recorder(quick(), openStore(t, late))
	for _, where := range []string{dir, late} {
		for i, m := range closed(t, where, 3) {
			if from := 300 + 1000*i; len(m.Tracks) != 2 || m.Tracks[0].SHA256 != digest(voice[from:from+700]...) || m.Tracks[1].SHA256 != digest(voice[700*i:700*i+700]...) {
				t.Errorf("%s: %+v", where, m)
			}
		}
	}
	if got, want := tree(t, dir), tree(t, late); !slices.Equal(got, want) {
		t.Errorf("two recorders differ:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// recordOff2 stops what is halted.
func (r *region) recordOff2(name string) {
	r.t.Helper()
	through := r.head()
	r.decide(name, func(s *room.State) (room.Draft, error) { return s.StopRecording(s.Recording, through) })
}

// An edge that dies between halting and stopping leaves the rest to a recorder.
func TestARecordingThatIsHaltedIsStopped(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	r.rewind("den")
	voice := speech(t, 60)
	s := r.speaker("den")
	r.recordOn("den", "r1", 0)
	s.say(0, 0, voice)
	r.decide("den", halt)
	if m := closed(t, dir, 1)[0]; m.Through == 0 || m.Tracks[0].SHA256 != digest(voice...) || m.Tracks[0].End != recording.EndStopped {
		t.Errorf("%+v", m)
	}
}

// The log has forgotten a clipped track: what the manifest says that was there is taken from the stored segments, and a hole stays one.
func TestRebuildOfAClipBehindTheLogsBeginning(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	r.rewind("den")
	voice := speech(t, 1500)
	s := r.speaker("den")
	s.say(0, 0, voice[:200])
	r.recordOn("den", "r1", 0)
	s.say(0, 200, voice[200:600])
	s.say(0, 620, voice[620:1300])
	r.recordOff("den")
	s.say(0, 1300, voice[1300:])
	m := closed(t, dir, 1)[0]
	want := tree(t, dir)
	folder := filepath.Join(dir, "recordings", "r1")
	forget(r.head() - 20)
	change(t, os.Remove(filepath.Join(folder, m.Tracks[0].File)))
	change(t, os.Remove(filepath.Join(folder, m.Tracks[0].Track+".json")))
	if got := rebuilt(t, r, query.RebuildQuestion{Recording: "r1"}); !got.Whole() || got.PutBack != 2 {
		t.Errorf("%+v", got)
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("rebuilt:\n%s\nwas:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	change(t, os.Remove(filepath.Join(folder, "segments", m.Tracks[0].Track, "0-0.seg")))
	if got := rebuilt(t, r, query.RebuildQuestion{Recording: "r1"}); got.Whole() || got.Lost == 0 {
		t.Errorf("what is lost: %+v", got)
	}
	if got := tree(t, dir); len(got) != len(want)-1 {
		t.Errorf("%d objects of %d", len(got), len(want)-1)
	}
}
