package recorder

import (
	"math/rand/v2"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
)

// Rows 62 and 63: the same seq again is dropped; with other bytes the first one stays, and it is told.
func TestRow63Equivocation(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 700)
	s := r.speaker("hall")
	s.say(0, 0, voice[:600])
	until(t, "a segment closed", func() bool { return rec.metrics.segments.Load() == 1 })
	s.say(0, 42, voice[650:651])  // in a closed segment
	s.say(0, 590, voice[651:652]) // in an open one
	s.say(0, 591, voice[591:592]) // the same
	s.end(0, 599)
	s.leave()
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.SHA256 != digest(voice[:600]...) {
		t.Errorf("%+v", track)
	}
	if e, d := rec.metrics.equivocations.Load(), rec.metrics.duplicates.Load(); e != 2 || d != 1 {
		t.Errorf("%d equivocations, %d duplicates", e, d)
	}
}

// Row 88: a store that fails makes the recorder wait, and loses nothing.
func TestRow88StoreThatFails(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := newFaulty(openStore(t, dir))
	random := rand.New(rand.NewPCG(5, 6))
	store.fail(func(string, string) bool { return random.IntN(2) == 0 })
	rec, _ := r.recorder(quick(), store)
	voice := speech(t, 2600)
	s := r.speaker("hall")
	s.say(0, 0, voice[:1200])
	store.fail(func(op, _ string) bool { return op != "get" })
	until(t, "failing", func() bool { return rec.failing.Load() && !rec.Ready() })
	s.say(0, 1200, voice[1200:])
	s.end(0, 2599)
	s.leave()
	until(t, "unrecorded", func() bool { return rec.metrics.unrecordedAge() > 100*time.Millisecond })
	store.fail(nil)
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.Frames != 2600 || track.SHA256 != digest(voice...) || len(track.Gaps) != 0 {
		t.Fatalf("%+v", track)
	}
	until(t, "well again", func() bool { return rec.Ready() && rec.metrics.unrecordedAge() == 0 })
}

// Row 89: of two writers the first wins, and the other raises the alarm.
func TestRow89Divergence(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := openStore(t, dir)
	s := r.speaker("hall")
	voice := speech(t, 520)
	state, err := r.log.Load(t.Context(), "hall")
	if err != nil {
		t.Fatal(err)
	}
	track := state.Tracks[s.track]
	id := recording.ID("eu", track.Since, track.Order)
	if err := store.PutNew(t.Context(), recording.SegmentKey(id, s.track, 0, 0), []byte("forged")); err != nil {
		t.Fatal(err)
	}
	rec, _ := r.recorderThatMayFail(killable(), store)
	s.say(0, 0, voice)
	until(t, "alarmed", func() bool { return rec.metrics.divergences.Load() == 1 })
	if got, err := store.Get(t.Context(), recording.SegmentKey(id, s.track, 0, 0)); err != nil || string(got) != "forged" {
		t.Errorf("%q %v", got, err)
	}
}

// Row 77: what is no packet is passed over and counted.
func TestRow77RubbishInTheLog(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 30)
	s := r.speaker("hall")
	s.say(0, 0, voice[:10])
	s.logged([]byte("no packet"))
	s.logged(nil)
	other := *s
	other.handle++
	other.say(0, 10, voice[:10])                                                                       // another track's handle on this track's subject
	ten, err := frame.AppendAudio(nil, frame.Header{Handle: s.handle, Seq: 10}, []byte{16 << 3, 1, 2}) // 2.5 ms where the others last 20
	if err != nil {
		t.Fatal(err)
	}
	s.logged(ten)
	s.say(0, 10, voice[10:])
	s.end(0, 29)
	s.leave()
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.SHA256 != digest(voice...) || rec.metrics.rejected.Load() != 2 || rec.metrics.mismatched.Load() != 1 {
		t.Errorf("%+v, %d rejected", track, rec.metrics.rejected.Load())
	}
}

// Row 65, on the way that is exempt from the edge's bound: a backlog frame at the end of the numbering. Its track gets no file, as that
// would last for years; all else goes on.
func TestRow65SeqJump(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 20)
	wild, good := r.speaker("hall"), r.speaker("hall")
	wild.say(0, 0, voice[:10])
	wild.say(0, frame.MaxSeq-9, voice[10:])
	good.say(0, 0, voice)
	wild.leave()
	good.end(0, 19)
	good.leave()
	m := closed(t, dir, 1)[0]
	if m.Tracks[0].Problem == "" || m.Tracks[0].File != "" || len(m.Tracks[0].Gaps) != 1 || m.Tracks[0].Frames != 20 || m.Tracks[1].SHA256 != digest(voice...) {
		t.Errorf("%+v", m.Tracks)
	}
}

// Row 85: a log that was made anew counts from 1 again; the checkpoint of the old one says nothing about it.
func TestRow85LogMadeAnew(t *testing.T) {
	dir := t.TempDir()
	voice := speech(t, 60)
	for life := range 2 {
		r := newRegion(t)
		_, stop := r.recorder(quick(), openStore(t, dir))
		s := r.speaker("hall")
		s.say(0, 0, voice[:60-20*life])
		s.end(0, int64(59-20*life))
		s.leave()
		manifests := closed(t, dir, life+1)
		if got := manifests[len(manifests)-1].Tracks[0].Frames; got != int64(60-20*life) {
			t.Errorf("life %d: %d frames", life, got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
