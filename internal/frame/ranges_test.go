package frame

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRangesAgainstMap compares every answer with that of a plain set of seqs, in a window at either end of the
// numbering or in the middle.
func TestRangesAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := rapid.SampledFrom([]uint32{0, 1000, math.MaxUint32 - window}).Draw(t, "base")
		seqs := rapid.Uint32Range(base, base+window)
		var r Ranges
		naive := map[uint32]bool{}
		for range rapid.IntRange(0, 30).Draw(t, "adds") {
			from := seqs.Draw(t, "from")
			to := min(uint64(from)+uint64(rapid.IntRange(0, 6).Draw(t, "more")), math.MaxUint32)
			want := addNaively(naive, uint64(from), to)
			if got := r.Add(from, uint32(to)); got != want {
				t.Fatalf("Add(%d, %d) = %d, want %d", from, to, got, want)
			}
		}
		checkShape(t, &r, len(naive))
		checkAnswers(t, &r, naive, seqs.Draw(t, "a"), seqs.Draw(t, "b"))
	})
}

const window = 64

func addNaively(set map[uint32]bool, from, to uint64) (added uint64) {
	for seq := from; seq <= to; seq++ {
		if !set[uint32(seq)] {
			added++
			set[uint32(seq)] = true
		}
	}
	return added
}

func checkShape(t *rapid.T, r *Ranges, count int) {
	if r.Count() != uint64(count) {
		t.Fatalf("Count = %d, want %d", r.Count(), count)
	}
	previous, total := int64(-2), uint64(0)
	for have := range r.All() {
		if int64(have.From) <= previous+1 || have.To < have.From {
			t.Fatalf("ranges overlap, touch or are out of order: %v", slices.Collect(r.All()))
		}
		previous = int64(have.To)
		total += have.Len()
	}
	if total != r.Count() {
		t.Fatalf("ranges hold %d seqs, Count says %d", total, r.Count())
	}
}

func checkAnswers(t *rapid.T, r *Ranges, naive map[uint32]bool, from, to uint32) {
	if r.Contains(from) != naive[from] {
		t.Fatalf("Contains(%d) = %v", from, r.Contains(from))
	}
	through := int64(from) - 1
	for through < math.MaxUint32 && naive[uint32(through+1)] {
		through++
	}
	if got := r.Through(from); got != through {
		t.Fatalf("Through(%d) = %d, want %d", from, got, through)
	}
	if seq, ok := r.Hole(from); ok != (through < math.MaxUint32) || ok && int64(seq) != through+1 {
		t.Fatalf("Hole(%d) = %d, %v after %d", from, seq, ok, through)
	}
	var missing, want []uint32
	for gap := range r.Gaps(from, to) {
		for seq := uint64(gap.From); seq <= uint64(gap.To); seq++ {
			missing = append(missing, uint32(seq))
		}
	}
	for seq := uint64(from); seq <= uint64(to); seq++ {
		if !naive[uint32(seq)] {
			want = append(want, uint32(seq))
		}
	}
	if !slices.Equal(missing, want) {
		t.Fatalf("Gaps(%d, %d) = %v, want %v", from, to, missing, want)
	}
}

func TestRangesAtTheEnds(t *testing.T) {
	var r Ranges
	if r.Through(0) != -1 || r.Last() != -1 || r.Contains(0) {
		t.Error("an empty set holds something")
	}
	if r.Add(5, 4) != 0 || r.Len() != 0 {
		t.Error("a range that runs backwards added something")
	}
	if added := r.Add(0, math.MaxUint32); added != 1<<32 {
		t.Errorf("adding all seqs added %d", added)
	}
	if _, ok := r.Hole(0); ok || r.Through(7) != math.MaxUint32 || r.Last() != math.MaxUint32 {
		t.Error("the full set has a hole")
	}
	for gap := range r.Gaps(0, math.MaxUint32) {
		t.Errorf("the full set lacks %v", gap)
	}
}

func TestRangesStopEarly(t *testing.T) {
	var r Ranges
	r.Add(2, 2)
	r.Add(4, 4)
	for gap := range r.Gaps(0, 9) {
		if gap != (Range{0, 1}) {
			t.Errorf("first gap is %v", gap)
		}
		break
	}
}
