package recorder

import (
	"bytes"
	"math"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/subject"
)

// wide is a pack that declares as much silence as one can, the i-th of its kind.
func wide(t *testing.T, i int) message {
	t.Helper()
	p := silence(t, 0, uint32(i)*math.MaxUint16, math.MaxUint16)
	return message{pos: uint64(i + 1), subject: subject.Log("eu", "hall", frame.TrackID(7)), data: bytes.Clone(p.Raw())}
}

// Sixteen bytes of silence span 131 segments. However many such packs come at once, while nothing of the track may close, no more is held open than
// those of one and what is held of any track; and all of it is known when it is read again.
func TestWideSilenceOpensNoMoreThanItMay(t *testing.T) {
	const packs = 100
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	f := &fold{r: &Recorder{metrics: m, logger: quiet}, follows: map[trackKey][]*follow{}, touched: map[*follow]bool{}}
	fo := newFollow("hall", recording.Track{Track: frame.TrackID(7), FrameMS: 20}, 7)
	fo.held = true
	f.follows[fo.key()] = []*follow{fo}
	var list []message
	for i := range packs {
		list = append(list, wide(t, i))
	}
	if err := f.foldPacks(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	e := fo.epochs[0]
	if most := maxOpen + math.MaxUint16/recording.SegmentSeqs + 2; len(e.open) > most {
		t.Errorf("%d segments are open, at most %d may be", len(e.open), most)
	}
	if e.aside.Len() > maxOpen || e.highest() != packs*math.MaxUint16-1 || m.frames.Load() != packs*math.MaxUint16 {
		t.Errorf("%d ranges are put aside, up to seq %d, %d seqs", e.aside.Len(), e.highest(), m.frames.Load())
	}
	have := new(frame.Ranges)
	if e.cover(have); have.Count() < packs*math.MaxUint16 || have.Len() != 1 {
		t.Errorf("%d seqs are known, in %d ranges", have.Count(), have.Len())
	}
	before := len(e.open)
	f.packets(&list[0], []*follow{fo}) // once more
	if len(e.open) != before || m.duplicates.Load() != math.MaxUint16 || m.equivocations.Load() != 0 {
		t.Errorf("%d open, %d duplicates, %d equivocations", len(e.open), m.duplicates.Load(), m.equivocations.Load())
	}
}

// What is declared in a few packs is closed as it comes: and the recording of it proves itself.
func TestWideSilenceIsRecorded(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 20)
	s := r.speaker("hall")
	s.say(0, 0, voice[:10])
	s.silent(0, 10, math.MaxUint16)
	s.silent(0, 10, math.MaxUint16) // once more
	s.say(0, 10+math.MaxUint16, voice[10:])
	s.end(0, 19+math.MaxUint16)
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.SHA256 != digest(voice...) || track.Missing() != 0 || len(track.Silence) != 1 || track.Silence[0].Len() != math.MaxUint16 || len(track.Segments) != 132 {
		t.Errorf("%+v", track)
	}
}
