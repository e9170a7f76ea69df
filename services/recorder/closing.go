package recorder

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// closable takes out the segments that are full, given that the log has been read up to a position.
func (f *follow) closable(read uint64) []*recording.Segment {
	if f.held || f.ended && f.closing == nil {
		return nil
	}
	var out []*recording.Segment
	for _, id := range slices.Sorted(maps.Keys(f.epochs)) {
		e := f.epochs[id]
		for _, n := range slices.Sorted(maps.Keys(e.open)) {
			if s := e.open[n]; s.filled > 0 && (f.complete(id, s, read) || f.overdue(id, s)) {
				out = append(out, f.close(id, n, recording.SegmentSeqs))
			}
		}
	}
	return out
}

func (f *follow) complete(id uint8, s *openSegment, read uint64) bool {
	if s.filled == recording.SegmentSeqs {
		return true
	}
	missing := s.missing(recording.SegmentSeqs)
	for _, g := range f.gaps {
		if g.Epoch == id && holds(g, read) {
			missing = subtract(missing, frame.Range{From: g.From, To: g.To})
		}
	}
	return len(missing) == 0
}

// holds says whether nothing can come any more for the seqs of a gap, given that the log has been read up to a position. By a gap that is but a
// reason no segment closes before the rest of its track: it may reach beyond what is the last seq then.
func holds(g room.GapDeclared, read uint64) bool { return strong(g) && g.Through <= read }

// close takes a segment of count seqs out of the open ones.
func (f *follow) close(id uint8, n uint32, count int) *recording.Segment {
	e := f.epochs[id]
	s := e.open[n]
	out := &recording.Segment{
		Room: f.room, Handle: f.handle, Epoch: id, Unit: e.unit, First: n * recording.SegmentSeqs, Count: count,
	}
	for i := range count {
		seq := out.First + uint32(i)
		switch sl := &s.slots[i]; {
		case sl.pos == 0:
			out.Add(recording.Item{Kind: recording.Lost, Seq: seq, Span: 1, Reason: f.reason(id, seq)})
		case sl.silent:
			out.Add(recording.Item{Kind: recording.Silent, Seq: seq, Span: 1})
		default:
			out.Add(recording.Item{Kind: recording.Present, Seq: seq, Span: 1, Timestamp: sl.timestamp, Payload: sl.payload})
			f.frames++
		}
	}
	e.closed(n)
	return out
}

// reason is that of the first fact that declared the seq.
func (f *follow) reason(id uint8, seq uint32) room.GapReason {
	for _, g := range f.gaps {
		if g.Epoch == id && g.From <= seq && seq <= g.To {
			return g.Reason
		}
	}
	return ""
}

// lastSeq is where an epoch of a closing track ends, -1 for nowhere: the highest seq that counts, or what the speaker
// said. A strong gap behind it that was declared before the closing belongs to it as far as the segment goes, which may have closed by it.
func (f *follow) lastSeq(id uint8) int64 {
	last := int64(-1)
	if e := f.epochs[id]; e != nil {
		last = e.highest()
	}
	if f.endKnown && id == f.endEpoch && f.last > last && f.last <= min(last+maxTail, frame.MaxSeq) {
		last = f.last
	}
	if last < 0 {
		return last
	}
	tail := last
	segmentEnd := last/recording.SegmentSeqs*recording.SegmentSeqs + recording.SegmentSeqs - 1
	for _, g := range f.declared() {
		if strong(g) && g.Epoch == id && int64(g.From) <= segmentEnd {
			tail = max(tail, min(int64(g.To), segmentEnd))
		}
	}
	return tail
}

// declared are the gaps that do not merely follow from the closing.
func (f *follow) declared() []room.GapDeclared {
	if f.closing == nil {
		return f.gaps
	}
	return f.gaps[:f.closing.gaps]
}

// firstSeq is where an epoch of a closing track begins, -1 for nowhere: seq 0, or where the recording began later the lowest one that counts.
func (f *follow) firstSeq(id uint8) int64 {
	if f.from == 0 {
		return 0
	}
	if e := f.epochs[id]; e != nil {
		return e.lowest()
	}
	return -1
}

// ids are the epochs that have any seq.
func (f *follow) ids() []uint8 {
	ids := slices.Collect(maps.Keys(f.epochs))
	if f.endKnown && f.last >= 0 && f.from == 0 && f.epochs[f.endEpoch] == nil {
		ids = append(ids, f.endEpoch)
	}
	return slices.SortedFunc(slices.Values(ids), cmp.Compare)
}

// undeclared are the gaps that nobody has declared yet, of a closing track whose log has been read up to the
// closing position. Every recorder finds the same ones.
func (f *follow) undeclared(through uint64) (out []room.GapDeclared) {
	reason := room.PublisherVanished
	switch {
	case f.clipped():
		reason, through = room.NotRecorded, 0
	case f.endKnown:
		reason = room.PublisherDropped
	}
	for _, id := range f.ids() {
		last := f.lastSeq(id)
		if last < 0 {
			continue
		}
		for r := range f.covered(id, anyGap).Gaps(0, uint32(last)) {
			for part, corrupt := range f.corruptParts(id, r) {
				why := reason
				if corrupt {
					why = room.StorageCorrupt
				}
				out = append(out, room.GapDeclared{
					Track: f.info.Track, Epoch: id, From: part.From, To: part.To, Reason: why, Through: through,
				})
			}
		}
	}
	return out
}

// excuse gives what is not there of a clipped track, and nobody declared, its reason. No fact is appended: other recordings of the track
// may have it. What it said before of what has changed since, as a segment was damaged, holds no more: a recorder that began anew does not know it.
func (f *follow) excuse() {
	f.gaps = f.declared()
	f.gaps = append(f.gaps, f.undeclared(0)...)
}

// corruptParts cuts a range of seqs where segments begin and end that were damaged in the store. What lies before the recording began was in none.
func (f *follow) corruptParts(id uint8, r frame.Range) iter.Seq2[frame.Range, bool] {
	return func(yield func(frame.Range, bool) bool) {
		e := f.epochs[id]
		if e == nil || e.corrupt.Len() == 0 {
			yield(r, false)
			return
		}
		from := r.From
		if first := f.firstSeq(id); int64(from) < first {
			before := frame.Range{From: from, To: uint32(min(first-1, int64(r.To)))}
			if !yield(before, false) || before.To == r.To {
				return
			}
			from = before.To + 1
		}
		for n := from / recording.SegmentSeqs; n <= r.To/recording.SegmentSeqs; n++ {
			if next := n + 1; n == r.To/recording.SegmentSeqs || e.corrupt.Contains(n) != e.corrupt.Contains(next) {
				to := uint32(min(uint64(next)*recording.SegmentSeqs-1, uint64(r.To)))
				if !yield(frame.Range{From: from, To: to}, e.corrupt.Contains(n)) {
					return
				}
				from = to + 1
			}
		}
	}
}

func anyGap(room.GapDeclared) bool { return true }

// covered are the seqs of an epoch that are there, or declared by a gap that counts.
func (f *follow) covered(id uint8, counts func(room.GapDeclared) bool) *frame.Ranges {
	have := new(frame.Ranges)
	if e := f.epochs[id]; e != nil {
		e.cover(have)
	}
	for _, g := range f.gaps {
		if g.Epoch == id && counts(g) {
			have.Add(g.From, g.To)
		}
	}
	return have
}

// rest takes out all segments that are left, of a closing track with nothing undeclared.
func (f *follow) rest() []*recording.Segment { return f.restBut(nil) }

// restBut is rest for where something is missing for good: segments that have to do with it stay.
func (f *follow) restBut(missing []room.GapDeclared) (out []*recording.Segment) {
	for _, id := range f.ids() {
		e := f.epochs[id]
		if e == nil {
			continue
		}
		last := f.lastSeq(id)
		for _, n := range slices.Sorted(maps.Keys(e.open)) {
			first := int64(n) * recording.SegmentSeqs
			if e.open[n].filled == 0 || first > last {
				delete(e.open, n)
				continue
			}
			if last < first+recording.SegmentSeqs && e.behind(n) {
				continue // where the epoch ends is known when those are read again
			}
			if slices.ContainsFunc(missing, func(g room.GapDeclared) bool {
				return g.Epoch == id && int64(g.From) < first+recording.SegmentSeqs && first <= int64(g.To)
			}) {
				continue
			}
			out = append(out, f.close(id, n, int(min(recording.SegmentSeqs, last+1-first))))
		}
	}
	return out
}
