package recorder

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// maxTail is how far the declared last seq may lie beyond the highest logged one: an hour of 20 ms frames. A wilder claim
// is not believed, it would make hours of nothing.
const maxTail = 3600 * 50

// follow is the fold of one track: of its packs by (epoch, seq), and of the facts about it. It does no I/O; the
// recorder's fold goroutine owns it.
//
// It holds segments that are not closed. One closes when each of its seqs is there or declared, except that between a
// track's end and its closing fact none closes: until then it is not known which of the last frames count.
type follow struct {
	room       string
	handle     uint32
	info       recording.Track // what the facts say of the track
	recordings []string        // those that hold it
	epochs     map[uint8]*epoch
	gaps       []room.GapDeclared // in the order of the log
	frames     int64              // in closed segments

	ended    time.Time // when, by the clock of the event's writer; zero: it goes on
	endKnown bool      // the speaker said how it ended
	endEpoch uint8
	last     int64
	closing  *closing

	// What the fold goroutine does about the track.
	noticed   time.Time // when the fold saw its end
	head      uint64    // how far the audio log was then; 0: not asked yet
	asked     uint64    // position of a gap event that must be folded before anything more is declared
	askedAt   time.Time
	rendering bool           // its .opus is being made
	writes    sync.WaitGroup // segments on their way to the store
	lost      atomic.Bool    // one of them did not arrive: the fold is over
}

type gapDeclared = room.GapDeclared

type closing struct{ through uint64 }

// tally is what became of a packet's seqs.
type tally struct {
	recorded, duplicates, late, mismatched int
	clashes                                []clash
}

// clash is a seq that came twice with different bytes; the first in the log is kept.
type clash struct {
	epoch       uint8
	seq         uint32
	kept, other fingerprint
}

// fingerprint is the beginning of the SHA-256 of a frame, all zero for a declared silence.
type fingerprint [8]byte

func fingerprintOf(payload []byte) fingerprint {
	if payload == nil {
		return fingerprint{}
	}
	sum := sha256.Sum256(payload)
	return fingerprint(sum[:8])
}

func newFollow(roomName string, info recording.Track, handle uint32) *follow {
	return &follow{room: roomName, info: info, handle: handle, last: -1, epochs: map[uint8]*epoch{}}
}

// add takes a packet that the log has at position pos. Positions never go back.
func (f *follow) add(pos uint64, p *frame.Packet) (t tally) {
	if f.closing != nil && pos > f.closing.through {
		t.late = p.Count()
		return t
	}
	e := f.epochs[p.Epoch]
	if e == nil {
		e = newEpoch(p.Unit)
		f.epochs[p.Epoch] = e
	}
	if e.unit != p.Unit {
		t.mismatched = p.Count()
		return t
	}
	if p.Kind == frame.Silence {
		for seq := uint64(p.Seq); seq <= uint64(p.Last()); seq++ {
			f.put(&t, p.Epoch, e, uint32(seq), slot{pos: pos, silent: true})
		}
		return t
	}
	for fr := range p.Frames {
		f.put(&t, p.Epoch, e, fr.Seq, slot{pos: pos, timestamp: fr.Timestamp, payload: fr.Payload})
	}
	return t
}

func (f *follow) put(t *tally, id uint8, e *epoch, seq uint32, s slot) {
	if f.refused(id, seq, s.pos) {
		t.late++
		return
	}
	kept, taken := e.put(seq, s)
	switch {
	case !taken:
		t.recorded++
	case kept.known && kept.print != fingerprintOf(s.payload):
		t.clashes = append(t.clashes, clash{id, seq, kept.print, fingerprintOf(s.payload)})
	default:
		t.duplicates++
	}
}

// refused says whether a fact says that the seq, logged at pos, is missing all the same.
func (f *follow) refused(id uint8, seq uint32, pos uint64) bool {
	for _, g := range f.gaps {
		if strong(g) && g.Epoch == id && g.From <= seq && seq <= g.To && pos > g.Through {
			return true
		}
	}
	return false
}

// strong gaps say up to where in the log they were decided. A gap without a position is but a reason: what is in the
// log all the same is kept, and a segment cannot close by it before the track's end.
func strong(g room.GapDeclared) bool { return g.Through > 0 }

// end notes that the track is over.
func (f *follow) end(at time.Time, known bool, id uint8, last int64) {
	f.ended, f.endKnown, f.endEpoch, f.last = at, known, id, last
}

// settle folds track.closed: from here on it is known which frames count. So all recorders take the same ones, find the
// same ones missing and write the same bytes, whenever they read the log.
func (f *follow) settle(through uint64) {
	if f.closing != nil {
		return
	}
	f.closing = &closing{through}
	for id, e := range f.epochs {
		e.drop(0, frame.MaxSeq, through)
		if e.empty() {
			delete(f.epochs, id)
		}
	}
}

// declare folds a gap.declared of this track. Frames that were logged after its `through` don't count.
func (f *follow) declare(g room.GapDeclared) {
	if f.closing != nil {
		if g.Through == f.closing.through {
			f.gaps = append(f.gaps, g)
		}
		return
	}
	f.gaps = append(f.gaps, g)
	if e := f.epochs[g.Epoch]; e != nil && strong(g) {
		e.drop(g.From, g.To, g.Through)
	}
}

// maxOpen is how many segments of a track are held open; a hole that stays keeps one open to the track's end.
const maxOpen = 64

// putAside keeps the track's memory bounded: what has waited longest is forgotten, and read from the log again when the track is
// over. While a track is being closed nothing is put aside.
func (f *follow) putAside(most int) {
	if !f.ended.IsZero() {
		return
	}
	open := 0
	for _, e := range f.epochs {
		open += len(e.open)
	}
	for id := 0; open > most && id < 256; {
		if e := f.epochs[uint8(id)]; e != nil && e.putAside() {
			open--
			continue
		}
		id++
	}
}

// takeBack opens at most so many of the segments that were put aside. after is the log position behind which they lie; ok is false
// where there are none.
func (f *follow) takeBack(most int) (after uint64, ok bool) {
	for _, id := range f.ids() {
		if e := f.epochs[id]; e != nil && e.aside.Len() > 0 {
			e.takeBack(most)
			return e.asideFrom - 1, true
		}
	}
	return 0, false
}

// closable takes out the segments that are full, given that the log has been read up to a position.
func (f *follow) closable(read uint64) []*recording.Segment {
	if !f.ended.IsZero() && f.closing == nil {
		return nil
	}
	var out []*recording.Segment
	for _, id := range slices.Sorted(maps.Keys(f.epochs)) {
		e := f.epochs[id]
		for _, n := range slices.Sorted(maps.Keys(e.open)) {
			if s := e.open[n]; s.filled > 0 && f.complete(id, s, read) {
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
		if g.Epoch == id && g.Through <= read && (strong(g) || f.closing != nil) {
			missing = subtract(missing, frame.Range{From: g.From, To: g.To})
		}
	}
	return len(missing) == 0
}

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
// said. A strong gap behind it belongs to it as far as the segment goes, which may have closed by it.
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
	for _, g := range f.gaps {
		if strong(g) && g.Epoch == id && (f.closing == nil || g.Through != f.closing.through) && int64(g.From) <= segmentEnd {
			tail = max(tail, min(int64(g.To), segmentEnd))
		}
	}
	return tail
}

// ids are the epochs that have any seq.
func (f *follow) ids() []uint8 {
	ids := slices.Collect(maps.Keys(f.epochs))
	if f.endKnown && f.last >= 0 && f.epochs[f.endEpoch] == nil {
		ids = append(ids, f.endEpoch)
	}
	return slices.SortedFunc(slices.Values(ids), cmp.Compare)
}

// undeclared are the gaps that nobody has declared yet, of a closing track whose log has been read up to the
// closing position. Every recorder finds the same ones.
func (f *follow) undeclared(through uint64) (out []room.GapDeclared) {
	reason := room.PublisherVanished
	if f.endKnown {
		reason = room.PublisherDropped
	}
	for _, id := range f.ids() {
		last := f.lastSeq(id)
		if last < 0 {
			continue
		}
		for r := range f.covered(id).Gaps(0, uint32(last)) {
			out = append(out, room.GapDeclared{
				Track: f.info.Track, Epoch: id, From: r.From, To: r.To, Reason: reason, Through: through,
			})
		}
	}
	return out
}

// covered are the seqs of an epoch that are there or declared.
func (f *follow) covered(id uint8) *frame.Ranges {
	have := new(frame.Ranges)
	if e := f.epochs[id]; e != nil {
		e.cover(have)
	}
	for _, g := range f.gaps {
		if g.Epoch == id {
			have.Add(g.From, g.To)
		}
	}
	return have
}

// rest takes out all segments that are left, of a closing track with nothing undeclared.
func (f *follow) rest() (out []*recording.Segment) {
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
			out = append(out, f.close(id, n, int(min(recording.SegmentSeqs, last+1-first))))
		}
	}
	return out
}
