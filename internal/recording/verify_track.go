package recording

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"sort"

	"airloom/internal/frame"
)

// trackCheck holds one closed track against its files.
type trackCheck struct {
	*verifier
	t      *Track
	at     int // its number in the manifest
	handle uint32
}

// know notes the files that belong to the track, be they there or not.
func (c *trackCheck) know() {
	c.known[c.t.File] = true
	for _, s := range c.t.Segments {
		c.known[SegmentFile(c.t.Track, s.Epoch, s.N)] = true
	}
}

func (c *trackCheck) run(ctx context.Context) error {
	problem := c.t.partition()
	if problem != "" {
		c.report.problem(c.t.Track, "%s", problem)
	}
	whole := problem == ""
	if c.proof {
		whole = c.ordered() && whole
		if whole {
			c.closedWorld()
		}
		c.chain()
	}
	c.sound(ctx)
	if c.segments {
		c.segmentFiles(ctx, whole && c.proof)
	}
	return ctx.Err()
}

func (c *trackCheck) broken(s *SegmentInfo, format string, args ...any) {
	c.report.broken(c.at, c.t.Track, c.t.place(s.Epoch, s.N), format, args...)
}

// partition says what is wrong with the track's seqs, or "".
func (t *Track) partition() string {
	total, seconds := int64(0), 0.0
	left := map[uint8]frame.Range{}
	for _, e := range t.Epochs {
		if _, twice := left[e.Epoch]; twice || e.Last < e.First {
			return fmt.Sprintf("epoch %d is there twice, or ends before it begins", e.Epoch)
		}
		left[e.Epoch] = frame.Range{From: e.First, To: e.Last}
		seqs := int64(e.Last) - int64(e.First) + 1
		total += seqs
		seconds += float64(seqs) * e.FrameMS / 1000
	}
	ranges := t.absences()
	for i, g := range ranges {
		if !g.silent && g.reason == "" {
			return fmt.Sprintf("the gap %s has no reason", g.SeqRange)
		}
		in, known := left[g.Epoch]
		if !known || g.To < g.From || g.From < in.From || g.To > in.To {
			return fmt.Sprintf("silence or gap %s lies outside of its epoch", g.SeqRange)
		}
		if i > 0 && ranges[i-1].Epoch == g.Epoch && ranges[i-1].To >= g.From {
			return fmt.Sprintf("silence or gap %s overlaps %s", g.SeqRange, ranges[i-1].SeqRange)
		}
		total -= g.Len()
	}
	if total != t.Frames {
		return fmt.Sprintf("frames, silence and gaps do not add up: %d frames, but %d seqs are neither silent nor missing", t.Frames, total)
	}
	if t.Problem == "" && math.Abs(seconds-t.Seconds) > 1e-6 {
		return fmt.Sprintf("it lasts %.3f s by its seqs and %.3f s by the manifest", seconds, t.Seconds)
	}
	return ""
}

// String is as "0:100-199".
func (r SeqRange) String() string { return fmt.Sprintf("%d:%d-%d", r.Epoch, r.From, r.To) }

// absence is seqs without frames.
type absence struct {
	SeqRange
	silent bool
	reason string // of a gap
}

// absences are the silent and the missing seqs in order.
func (t *Track) absences() []absence {
	out := make([]absence, 0, len(t.Silence)+len(t.Gaps))
	for _, s := range t.Silence {
		out = append(out, absence{SeqRange: s, silent: true})
	}
	for _, g := range t.Gaps {
		out = append(out, absence{SeqRange: g.SeqRange, reason: string(g.Reason)})
	}
	slices.SortFunc(out, func(a, b absence) int { return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.From, b.From)) })
	return out
}

// within gives what of sorted absences lies in a range, cut to it.
func within(all []absence, in SeqRange) (out []absence) {
	first := sort.Search(len(all), func(i int) bool { return all[i].Epoch > in.Epoch || all[i].Epoch == in.Epoch && all[i].To >= in.From })
	for _, a := range all[first:] {
		if a.Epoch != in.Epoch || a.From > in.To {
			break
		}
		a.From, a.To = max(a.From, in.From), min(a.To, in.To)
		out = append(out, a)
	}
	return out
}

// ordered says whether epochs and segments are in order and lie within each other.
func (c *trackCheck) ordered() bool {
	for i, e := range c.t.Epochs {
		if e.First != 0 && c.m.From == 0 || i > 0 && c.t.Epochs[i-1].Epoch >= e.Epoch {
			c.report.problem(c.t.Track, "epoch %d does not begin with seq 0, or is out of order", e.Epoch)
			return false
		}
	}
	for i := range c.t.Segments {
		s := &c.t.Segments[i]
		if i > 0 {
			if last := c.t.Segments[i-1]; last.Epoch > s.Epoch || last.Epoch == s.Epoch && last.N >= s.N {
				c.broken(s, "in the manifest it comes behind segment %d-%d: they are out of order, or there twice", last.Epoch, last.N)
				return false
			}
		}
		if e := c.t.epoch(s.Epoch); e == nil || uint64(s.N)*SegmentSeqs > uint64(e.Last) {
			c.broken(s, "it lies behind the end of its epoch")
			return false
		} else if s.N < e.First/SegmentSeqs {
			c.broken(s, "it lies before the beginning of its epoch")
			return false
		}
		if s.Frames < 0 || s.Frames > SegmentSeqs {
			c.broken(s, "the manifest says that it has %d frames", s.Frames)
			return false
		}
	}
	return true
}

func (t *Track) epoch(id uint8) *Epoch {
	for i := range t.Epochs {
		if t.Epochs[i].Epoch == id {
			return &t.Epochs[i]
		}
	}
	return nil
}

// closedWorld holds the segments against the gap map: each has the frames that are left of its seqs, and there is none only
// where all seqs are missing.
func (c *trackCheck) closedWorld() {
	all := c.t.absences()
	next := 0
	for _, e := range c.t.Epochs {
		covered := uint64(e.First) // seqs below it have a segment, or were looked at
		for ; next < len(c.t.Segments) && c.t.Segments[next].Epoch == e.Epoch; next++ {
			s := &c.t.Segments[next]
			begin := uint64(s.N) * SegmentSeqs
			from := max(begin, uint64(e.First))
			c.absent(all, e.Epoch, covered, from)
			covered = min(begin+SegmentSeqs, uint64(e.Last)+1)
			c.accounted(all, s, SeqRange{e.Epoch, uint32(from), uint32(covered - 1)})
		}
		c.absent(all, e.Epoch, covered, uint64(e.Last)+1)
	}
}

// accounted compares a segment's frames with what the gap map leaves of its seqs.
func (c *trackCheck) accounted(all []absence, s *SegmentInfo, seqs SeqRange) {
	frames, silent := seqs.Len(), false
	for _, a := range within(all, seqs) {
		frames, silent = frames-a.Len(), silent || a.silent
	}
	switch {
	case frames != int64(s.Frames):
		c.broken(s, "the manifest says that it has %d frames, but %d of its seqs are neither silent nor missing", s.Frames, frames)
	case frames == 0 && !silent:
		c.broken(s, "all its seqs are missing: there can be no such segment")
	}
}

// absent holds that all seqs from to below of an epoch are missing, as no segment has them.
func (c *trackCheck) absent(all []absence, epoch uint8, from, below uint64) {
	if from >= below {
		return
	}
	for _, a := range within(all, SeqRange{epoch, uint32(from), uint32(below - 1)}) {
		if a.silent || uint64(a.From) > from {
			break
		}
		from = uint64(a.To) + 1
	}
	if from < below {
		c.broken(&SegmentInfo{Epoch: epoch, N: uint32(from / SegmentSeqs)}, "the manifest has no such segment, although seq %d is not missing", from)
	}
}

// chain computes the track's chain anew.
func (c *trackCheck) chain() {
	chain := NewChain(c.m.Recording, c.m.Room, c.t.Track)
	for i := range c.t.Segments {
		s := &c.t.Segments[i]
		var sum [sha256.Size]byte
		if b, err := hex.DecodeString(s.SHA256); err != nil || copy(sum[:], b) != len(b) || len(b) != len(sum) {
			c.broken(s, "the manifest has no SHA-256 of it")
			return
		}
		if chain.Add(s.Epoch, s.N, sum); s.Chain != chain.Sum() {
			c.broken(s, "the manifest's hash chain breaks here: this entry was altered, or one was left out, put in or moved before it")
			return
		}
	}
	if c.t.Chain != chain.Sum() {
		c.report.problem(c.t.Track, "its hash chain ends with %.64q instead of %s: segments were cut off or put behind", c.t.Chain, chain.Sum())
	}
}
