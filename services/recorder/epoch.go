package recorder

import (
	"time"

	"airloom/internal/frame"
	"airloom/internal/plant"
	"airloom/internal/recording"
)

// remembered is how many closed segments of an epoch can still be compared with frames that come again.
const remembered = 4

// epoch is one run of a track's numbering.
type epoch struct {
	unit       uint8 // of its first packet in the log; all others must have the same
	done       frame.Ranges
	doneHigh   int64                  // highest seq that is there in a closed segment
	doneLow    int64                  // and the lowest one; -1: there is none
	sums       map[uint32]fingerprint // of closed segments, as they were made
	open       map[uint32]*openSegment
	recent     map[uint32]*[recording.SegmentSeqs]fingerprint
	recentList []uint32
	aside      frame.Ranges // segments that were put aside: see follow.putAside
	asideFrom  uint64       // log position of the first thing in them
	corrupt    frame.Ranges // segments that were closed, and damaged in the store: see follow.reopen
}

// openSegment is a segment that waits for frames or facts.
type openSegment struct {
	n      uint32
	filled int
	oldest uint64 // log position of the first thing in it
	newest uint64 // and of the last one
	slots  [recording.SegmentSeqs]slot
	born   time.Time // for the planted bug alone
}

// slot is what the log has for one seq; pos 0: nothing.
type slot struct {
	pos       uint64
	timestamp uint32
	silent    bool
	payload   []byte
}

func newEpoch(unit uint8) *epoch {
	return &epoch{
		unit: unit, doneHigh: -1, doneLow: -1, sums: map[uint32]fingerprint{}, open: map[uint32]*openSegment{},
		recent: map[uint32]*[recording.SegmentSeqs]fingerprint{},
	}
}

// known is what is already there for a seq.
type known struct {
	known bool // false: closed long ago
	print fingerprint
}

// put takes a seq, unless it is taken.
func (e *epoch) put(seq uint32, s slot) (kept known, taken bool) {
	n, i := seq/recording.SegmentSeqs, seq%recording.SegmentSeqs
	if e.done.Contains(n) {
		if prints := e.recent[n]; prints != nil {
			return known{true, prints[i]}, true
		}
		return known{}, true
	}
	if e.aside.Contains(n) {
		return known{}, true // it is read again anyway
	}
	seg := e.open[n]
	if seg == nil {
		seg = &openSegment{n: n, oldest: s.pos}
		e.open[n] = seg
	}
	if have := &seg.slots[i]; have.pos != 0 {
		kept = known{true, fingerprintOf(have.payload)}
		switch {
		case s.pos < have.pos: // one replica lacked it and it comes late: the first copy in the log is the one that counts
			*have = s
			seg.oldest = min(seg.oldest, s.pos)
		case plant.On(plant.NoDedupe):
			*have = s
		}
		return kept, true
	}
	seg.slots[i] = s
	seg.filled++
	seg.oldest, seg.newest = min(seg.oldest, s.pos), max(seg.newest, s.pos) // what one replica lacked comes out of order
	return known{}, false
}

// past says whether of a segment's seqs only that they are taken is known.
func (e *epoch) past(n uint32) bool {
	return e.done.Contains(n) && e.recent[n] == nil || e.aside.Contains(n)
}

// drop forgets what was logged after a position, within a range of seqs.
func (e *epoch) drop(from, to uint32, through uint64) {
	for n, seg := range e.open {
		for i := range seg.slots {
			seq := n*recording.SegmentSeqs + uint32(i)
			if s := &seg.slots[i]; s.pos > through && from <= seq && seq <= to {
				*s = slot{}
				seg.filled--
			}
		}
	}
}

func (e *epoch) closed(n uint32) {
	seg := e.open[n]
	prints := new([recording.SegmentSeqs]fingerprint)
	for i := range seg.slots {
		if s := &seg.slots[i]; s.pos != 0 {
			prints[i] = fingerprintOf(s.payload)
			seq := int64(n)*recording.SegmentSeqs + int64(i)
			e.have(seq, seq)
		}
	}
	delete(e.open, n)
	e.done.Add(n, n)
	e.recent[n] = prints
	e.recentList = append(e.recentList, n)
	if len(e.recentList) > remembered {
		delete(e.recent, e.recentList[0])
		e.recentList = e.recentList[1:]
	}
}

// have notes that seqs are there in a closed segment.
func (e *epoch) have(from, to int64) {
	e.doneHigh = max(e.doneHigh, to)
	if e.doneLow < 0 || from < e.doneLow {
		e.doneLow = from
	}
}

// lowest is the lowest seq that is there, -1 for none. Of segments that were put aside it knows nothing.
func (e *epoch) lowest() int64 {
	low := e.doneLow
	for n, seg := range e.open {
		for i := range seg.slots {
			if seq := int64(n)*recording.SegmentSeqs + int64(i); seg.slots[i].pos != 0 && (low < 0 || seq < low) {
				low = seq
			}
		}
	}
	return low
}

// behind says whether a segment that was put aside lies behind this one.
func (e *epoch) behind(n uint32) bool {
	for r := range e.aside.All() {
		if r.To > n {
			return true
		}
	}
	return false
}

// highest is the highest seq that is there, -1 for none.
func (e *epoch) highest() int64 {
	high := e.doneHigh
	for n, seg := range e.open {
		for i := range seg.slots {
			if seg.slots[i].pos != 0 {
				high = max(high, int64(n)*recording.SegmentSeqs+int64(i))
			}
		}
	}
	return high
}

// putAside forgets the segment that has waited longest for something to come. Not the highest one, by which the epoch's
// end is known.
func (e *epoch) putAside() bool {
	highest := uint32(max(e.doneHigh, 0) / recording.SegmentSeqs)
	for n, seg := range e.open {
		if seg.filled > 0 {
			highest = max(highest, n)
		}
	}
	var least *openSegment
	for _, seg := range e.open {
		if seg.n != highest && seg.filled > 0 && (least == nil || seg.newest < least.newest) {
			least = seg
		}
	}
	if least == nil {
		return false
	}
	if e.aside.Len() == 0 || least.oldest < e.asideFrom {
		e.asideFrom = least.oldest
	}
	e.aside.Add(least.n, least.n)
	delete(e.open, least.n)
	return true
}

// takeBack makes the first so many segments that were put aside open again, to be read again.
func (e *epoch) takeBack(count int) (taken int) {
	var left frame.Ranges
	for r := range e.aside.All() {
		for n := r.From; n <= r.To; n++ {
			if taken < count {
				taken++
				continue
			}
			left.Add(n, n)
		}
	}
	e.aside = left
	return taken
}

// reopen makes a closed segment one that was put aside: it is to be read from the log once more, from its beginning.
func (e *epoch) reopen(n uint32) {
	var left frame.Ranges
	for r := range e.done.All() {
		for _, part := range subtract([]frame.Range{r}, frame.Range{From: n, To: n}) {
			left.Add(part.From, part.To)
		}
	}
	e.done = left
	delete(e.recent, n)
	e.aside.Add(n, n)
	e.asideFrom = 1
	e.corrupt.Add(n, n)
}

func (e *epoch) empty() bool { return e.highest() < 0 && e.done.Len() == 0 && e.aside.Len() == 0 }

// cover adds the seqs that are closed, there or put aside.
func (e *epoch) cover(have *frame.Ranges) {
	for _, segments := range []*frame.Ranges{&e.done, &e.aside} {
		for r := range segments.All() {
			have.Add(r.From*recording.SegmentSeqs, uint32(min(uint64(r.To)*recording.SegmentSeqs+recording.SegmentSeqs-1, frame.MaxSeq)))
		}
	}
	for n, seg := range e.open {
		for i := range seg.slots {
			if seg.slots[i].pos != 0 {
				seq := n*recording.SegmentSeqs + uint32(i)
				have.Add(seq, seq)
			}
		}
	}
}

// oldest is the log position from which the open segments must be read again after a restart; 0: there are none.
func (e *epoch) oldest() (pos uint64) {
	if e.aside.Len() > 0 {
		pos = e.asideFrom
	}
	for _, seg := range e.open {
		if pos == 0 || seg.oldest < pos {
			pos = seg.oldest
		}
	}
	return pos
}

// missing are the empty slots among the first count, as seqs.
func (s *openSegment) missing(count int) (out []frame.Range) {
	for i := range count {
		if s.slots[i].pos != 0 {
			continue
		}
		seq := s.n*recording.SegmentSeqs + uint32(i)
		if k := len(out); k > 0 && out[k-1].To+1 == seq {
			out[k-1].To = seq
			continue
		}
		out = append(out, frame.Range{From: seq, To: seq})
	}
	return out
}

// subtract takes a range out of sorted ranges.
func subtract(ranges []frame.Range, cut frame.Range) (out []frame.Range) {
	for _, r := range ranges {
		if cut.To < r.From || r.To < cut.From {
			out = append(out, r)
			continue
		}
		if r.From < cut.From {
			out = append(out, frame.Range{From: r.From, To: cut.From - 1})
		}
		if cut.To < r.To {
			out = append(out, frame.Range{From: cut.To + 1, To: r.To})
		}
	}
	return out
}
