package frame

import (
	"iter"
	"slices"
	"sort"
)

// Range is the seqs From to To, both included.
type Range struct{ From, To uint32 }

// Len is the number of seqs, up to 2³².
func (r Range) Len() uint64 { return uint64(r.To) - uint64(r.From) + 1 }

// Ranges is a set of seqs of one epoch, kept as sorted ranges that neither overlap nor touch. The zero value is empty.
// It takes memory by holes, not by seqs: seqs that arrive in order are one range and adding the next allocates nothing.
// One goroutine owns it; whoever feeds it from outside bounds the holes.
type Ranges struct {
	sorted []Range
	count  uint64
}

// Add puts the seqs from..to in and returns how many of them are new; none when from > to.
func (r *Ranges) Add(from, to uint32) (added uint64) {
	if from > to {
		return 0
	}
	// sorted[i:j] are the ranges that overlap or touch from..to and become one with it.
	i := r.endingAtOrAfter(saturatingDec(from))
	j := i
	merged := Range{from, to}
	var had uint64
	for j < len(r.sorted) && uint64(r.sorted[j].From) <= uint64(to)+1 {
		merged.From = min(merged.From, r.sorted[j].From)
		merged.To = max(merged.To, r.sorted[j].To)
		had += r.sorted[j].Len()
		j++
	}
	if i == j {
		r.sorted = slices.Insert(r.sorted, i, merged)
	} else {
		r.sorted[i] = merged
		r.sorted = slices.Delete(r.sorted, i+1, j)
	}
	added = merged.Len() - had
	r.count += added
	return added
}

// Contains tells whether seq is in the set.
func (r *Ranges) Contains(seq uint32) bool {
	i := r.endingAtOrAfter(seq)
	return i < len(r.sorted) && r.sorted[i].From <= seq
}

// Hole is the first seq from `from` on that is not in the set; false when there is none up to MaxSeq.
func (r *Ranges) Hole(from uint32) (seq uint32, ok bool) {
	last := r.Through(from)
	return uint32(last + 1), last < MaxSeq
}

// Through is the last seq up to which everything from `from` on is in the set, or from−1 (so −1 for from 0) when
// `from` itself is not: what an ack says.
func (r *Ranges) Through(from uint32) int64 {
	i := r.endingAtOrAfter(from)
	if i < len(r.sorted) && r.sorted[i].From <= from {
		return int64(r.sorted[i].To)
	}
	return int64(from) - 1
}

// Gaps yields the ranges within from..to that are not in the set, in order. The set must not change meanwhile.
func (r *Ranges) Gaps(from, to uint32) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		next := uint64(from)
		for _, have := range r.sorted[r.endingAtOrAfter(from):] {
			if have.From > to {
				break
			}
			if uint64(have.From) > next && !yield(Range{uint32(next), have.From - 1}) {
				return
			}
			next = uint64(have.To) + 1
		}
		if next <= uint64(to) {
			yield(Range{uint32(next), to})
		}
	}
}

// All yields the ranges in order. The set must not change meanwhile.
func (r *Ranges) All() iter.Seq[Range] { return slices.Values(r.sorted) }

// Len is the number of ranges; Count the number of seqs.
func (r *Ranges) Len() int      { return len(r.sorted) }
func (r *Ranges) Count() uint64 { return r.count }

// Last is the highest seq in the set, −1 when it is empty.
func (r *Ranges) Last() int64 {
	if len(r.sorted) == 0 {
		return -1
	}
	return int64(r.sorted[len(r.sorted)-1].To)
}

// endingAtOrAfter is the index of the first range that ends at seq or later. Nearly always that is the last range or
// the place after it, because seqs mostly come in order.
func (r *Ranges) endingAtOrAfter(seq uint32) int {
	n := len(r.sorted)
	if n == 0 || r.sorted[n-1].To < seq {
		return n
	}
	return sort.Search(n, func(i int) bool { return r.sorted[i].To >= seq })
}

func saturatingDec(n uint32) uint32 {
	if n == 0 {
		return 0
	}
	return n - 1
}
