package recorder

import (
	"slices"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// What a speaker has given up may wait in the outbox of another edge, which logs and acks it within its lease: the track's end is no reason to
// close before that.
func TestGivenUpFramesOfAnotherEdgesOutbox(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := openStore(t, dir)
	cfg := quick()
	cfg.Grace = 2 * time.Second
	r.recorder(cfg, store)
	s := r.speaker("hall")
	voice := speech(t, 40)
	s.say(0, 0, voice[:20])
	r.decide("hall", func(st *room.State) (room.Draft, error) {
		return st.DeclareGap(room.GapDeclared{Track: s.track, From: 20, To: 39, Reason: room.PublisherDropped})
	})
	s.end(0, 39)
	state, err := r.log.Load(t.Context(), "hall")
	change(t, err)
	until(t, "the end is folded", func() bool { return storedPoint(t, store).Events.Position >= state.Position })
	s.say(0, 20, voice[20:])
	s.leave()
	if track := closed(t, dir, 1)[0].Tracks[0]; track.SHA256 != digest(voice...) || track.Missing() != 0 {
		t.Errorf("%d frames, %d missing", track.Frames, track.Missing())
	}
}

// A recorder that reads a track again, with a hole in each of its segments, holds no more of it than while it comes: whether the track goes on, is
// over or closed.
func TestReadingAgainHoldsFewSegments(t *testing.T) {
	r := newRegion(t)
	const segments = 5 * maxOpen
	s := r.speaker("hall")
	voice := speech(t, 1)
	for n := range uint32(segments) {
		s.say(0, n*recording.SegmentSeqs, voice)
	}
	rec, err := New(quick(), r.connect(bus.Recorder), r.log, newFaulty(openStore(t, t.TempDir())), quiet)
	change(t, err)
	for name, over := range map[string]func(*follow){
		"goes on": func(*follow) {},
		"is over": func(fo *follow) { fo.end(true, 0, segments*recording.SegmentSeqs-1) },
		"closed":  func(fo *follow) { fo.end(true, 0, segments*recording.SegmentSeqs-1); fo.settle(segments) },
	} {
		f := newFold(rec)
		fo := newFollow("hall", recording.Track{Track: s.track, FrameMS: 20}, s.handle)
		over(fo)
		change(t, f.readAgain(t.Context(), t.Context(), fo, 0, r.logged()))
		if open := len(fo.epochs[0].open); open > maxOpen+sortedAgain || fo.epochs[0].highest() != (segments-1)*recording.SegmentSeqs {
			t.Errorf("%s: %d segments are held, up to seq %d", name, open, fo.epochs[0].highest())
		}
	}
}

// A recorder that comes when a track with a hole in every segment is over, but not closed, puts aside what may lie behind the closing: it finds the same as
// one that was there.
func TestHolesInEverySegmentOfATrackThatIsOver(t *testing.T) {
	r := newRegion(t)
	const segments = 3 * maxOpen
	s := r.speaker("hall")
	voice := speech(t, 1)
	say := func(from, to uint32) {
		for n := from; n < to; n++ {
			s.say(0, n*recording.SegmentSeqs, voice)
		}
	}
	say(0, segments/2)
	s.leave()
	through := r.logged()
	say(segments/2, segments)
	dirs := []string{t.TempDir(), t.TempDir()}
	cfg := quick()
	cfg.Grace = time.Hour
	store := openStore(t, dirs[0])
	rec, _ := r.recorder(cfg, store)
	until(t, "all read", func() bool { return rec.metrics.frames.Load() == segments })
	r.decide("hall", func(st *room.State) (room.Draft, error) { return st.CloseTrack(s.track, through) })
	m := closed(t, dirs[0], 1)[0]
	if track := m.Tracks[0]; track.Frames != segments/2 || track.Epochs[0].Last != (segments/2-1)*recording.SegmentSeqs {
		t.Errorf("%d frames, up to seq %d", track.Frames, track.Epochs[0].Last)
	}
	r.recorder(quick(), openStore(t, dirs[1]))
	closed(t, dirs[1], 1)
	if got, want := tree(t, dirs[1]), tree(t, dirs[0]); !slices.Equal(got, want) {
		t.Errorf("made anew, %d and %d objects differ", len(got), len(want))
	}
}
