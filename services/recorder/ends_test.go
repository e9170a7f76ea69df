package recorder

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// A speaker may give up more than it ever numbered, and vanish. The gap ends with the epoch, whoever reads it when, and the recording proves itself.
func TestAGapThatReachesBeyondTheLastSeq(t *testing.T) {
	r := newRegion(t)
	dir, late := t.TempDir(), t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	r.rewind("den")
	voice := speech(t, 490)
	vanishes, goesOn := r.speaker("hall"), r.speaker("den")
	r.recordOn("den", "r1", 0)
	vanishes.say(0, 0, voice[:100])
	vanishes.givesUp(100, 499)
	vanishes.leave()
	goesOn.say(0, 0, voice)
	goesOn.givesUp(490, 520)
	r.recordOff("den")
	closed(t, dir, 2)
	r.recorder(quick(), openStore(t, late))
	for _, m := range closed(t, late, 2) {
		if track := m.Tracks[0]; int64(track.Epochs[0].Last)+1 != track.Frames || len(track.Gaps) != 0 {
			t.Errorf("%+v", track)
		}
	}
	if got, want := tree(t, late), tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("two recorders differ:\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// givesUp is a gap that the speaker declares.
func (s *speaker) givesUp(from, to uint32) {
	s.r.t.Helper()
	s.r.decide(s.room, func(st *room.State) (room.Draft, error) {
		return st.DeclareGap(room.GapDeclared{Track: s.track, From: from, To: to, Reason: room.PublisherDropped})
	})
}

// addsUp says where a track's segments, of which each covers so many seqs, do not end where its epochs do; "" for nowhere.
func addsUp(p *plan, counts map[segmentID]int) string {
	for _, e := range p.epochs {
		for r := range e.done.All() {
			for n := r.From; n <= r.To; n++ {
				want := min(recording.SegmentSeqs, int64(e.last)+1-int64(n)*recording.SegmentSeqs)
				if got := counts[segmentID{e.id, n}]; int64(got) != want {
					return fmt.Sprintf("segment %d-%d covers %d seqs, by the epoch's last seq %d it has %d", e.id, n, got, e.last, want)
				}
			}
		}
	}
	return ""
}

// judgeEnds holds what each recorder takes for the ends of epochs against the segments that are stored.
func (w *simLog) judgeEnds() {
	for _, r := range w.all {
		for _, fo := range append(r.clips, r.follow) {
			if what := addsUp(fo.plan(), w.counts(fo.recording)); what != "" {
				w.Fail("%s, recording %q: %s", r.name, fo.recording, what)
			}
		}
	}
}

// segments are those of a recording that are stored.
func (w *simLog) segments(recordingID string) (out []*recording.Segment) {
	for key, data := range w.store {
		if !strings.HasPrefix(key, recordingID+"/") {
			continue
		}
		s, err := recording.ParseSegment(data)
		if err != nil {
			w.Fail("%s: %v", key, err)
		}
		out = append(out, s)
	}
	return out
}

// counts is how many seqs each of them covers.
func (w *simLog) counts(recordingID string) map[segmentID]int {
	out := map[segmentID]int{}
	for _, s := range w.segments(recordingID) {
		out[segmentID{s.Epoch, s.First / recording.SegmentSeqs}] = s.Count
	}
	return out
}
