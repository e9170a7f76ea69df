package recorder

import (
	"fmt"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/recording"
)

// Many recordings of the same tracks, all of which wait for a recorder that was away: each has what was said while it ran, and when they are closed
// nothing of them is remembered.
func TestManyRecordingsOfARoomThatWait(t *testing.T) {
	const count = 40
	r := newRegion(t)
	dir := t.TempDir()
	r.rewind("den")
	voice := speech(t, 10*count)
	speakers := []*speaker{r.speaker("den"), r.speaker("den"), r.speaker("den")}
	for i := range count {
		r.recordOn("den", fmt.Sprintf("r%02d", i), 0)
		for _, s := range speakers {
			s.say(0, uint32(10*i), voice[10*i:10*i+10])
		}
		r.recordOff("den")
	}
	rec, _ := r.recorder(quick(), openStore(t, dir))
	for i, m := range closed(t, dir, count) {
		if len(m.Tracks) != len(speakers) {
			t.Fatalf("%+v", m)
		}
		for _, track := range m.Tracks {
			if track.SHA256 != digest(voice[10*i:10*i+10]...) || track.Missing() != 0 {
				t.Errorf("%s: %+v", m.Recording, track)
			}
		}
	}
	if n := rec.metrics.follows.Load(); n != 0 {
		t.Errorf("%d tracks are followed still", n)
	}
	if n := rec.metrics.frames.Load(); n != 10*count*int64(len(speakers)) || rec.metrics.late.Load() != 0 {
		t.Errorf("%d frames, %d late", n, rec.metrics.late.Load())
	}
}

// A pack costs only the recordings that it is in.
func TestAPackIsFoldedWhereItCounts(t *testing.T) {
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	f := &fold{r: &Recorder{metrics: m, logger: quiet}, touched: map[*follow]bool{}}
	var followed []*follow
	for i := range uint64(5) { // from 0 to 10, from 10 to 20, …
		fo := newFollow("hall", recording.Track{Track: frame.TrackID(7), FrameMS: 20}, 7)
		fo.from = 10 * i
		fo.cut(10*i + 10)
		followed = append(followed, fo)
	}
	f.packets(&message{pos: 21, data: audio(t, 0, 0, 3).Raw()}, followed)
	for i, fo := range followed {
		if in := i == 2; f.touched[fo] != in || (len(fo.epochs) == 1) != in {
			t.Errorf("recording %d: touched %v, %d epochs", i, f.touched[fo], len(fo.epochs))
		}
	}
	if n := m.frames.Load(); n != 3 || m.late.Load() != 0 {
		t.Errorf("%d frames, %d late", n, m.late.Load())
	}
}
