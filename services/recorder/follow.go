package recorder

import (
	"crypto/sha256"
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
	room      string
	handle    uint32
	info      recording.Track // what the facts say of the track
	recording string          // that it is followed for
	from      uint64          // what the log has up to here is none of the recording; 0: it holds the track from its beginning
	epochs    map[uint8]*epoch
	gaps      []room.GapDeclared // in the order of the log
	frames    int64              // in closed segments

	held     bool // its recording is being stopped: nothing closes until it is known where
	cutOff   bool // its recording was stopped while the track went on
	ended    bool
	endKnown bool // the speaker said how it ended
	endEpoch uint8
	last     int64

	firstEpoch uint8 // with which the track started

	newest   uint64 // log position of the newest pack that was added
	doubtful bool   // something was put aside between the end, or the halt of the recording, and the closing
	anewFrom uint64 // log position from which the open segments are to be read once more, up to the closing; 0: they are not
	closing  *closing

	// What the fold goroutine does about the track.
	noticed   time.Time // when the fold saw its end
	head      uint64    // how far the audio log was then; 0: not asked yet
	asked     uint64    // position of a gap event that must be folded before anything more is declared
	askedAt   time.Time
	rendering bool           // its .opus is being made
	writes    sync.WaitGroup // segments on their way to the store
	lost      atomic.Bool    // one of them did not arrive: the fold is over
	passed    seldom         // what is said of packets that are passed over
	clashed   seldom         // and of equivocations
	foreign   sync.Map       // segmentID of those that another recorder stored first with other bytes, which stay
}

type segmentID struct {
	epoch uint8
	n     uint32
}

type closing struct {
	through uint64 // log position up to which the track counts
	gaps    int    // how many were declared before it
}

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

// add takes a packet that the log has at position pos. Positions go back only where one replica lacked something.
func (f *follow) add(pos uint64, p *frame.Packet) (t tally) {
	if f.outside(pos) {
		return t
	}
	if f.closing != nil && pos > f.closing.through {
		t.late = p.Count()
		return t
	}
	f.newest = max(f.newest, pos)
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
		f.silence(&t, p, e, pos)
		return t
	}
	for fr := range p.Frames {
		f.put(&t, p.Epoch, e, fr.Seq, slot{pos: pos, timestamp: fr.Timestamp, payload: fr.Payload})
	}
	return t
}

// silence may span a hundred segments: of those that are closed long ago it tells nothing that is still known.
func (f *follow) silence(t *tally, p *frame.Packet, e *epoch, pos uint64) {
	for seq, last := uint64(p.Seq), uint64(p.Last()); seq <= last; seq++ {
		if n := uint32(seq / recording.SegmentSeqs); e.past(n) {
			end := min(last, uint64(n)*recording.SegmentSeqs+recording.SegmentSeqs-1)
			t.duplicates += int(end - seq + 1)
			seq = end
			continue
		}
		f.put(t, p.Epoch, e, uint32(seq), slot{pos: pos, silent: true})
	}
}

// outside says whether what the log has at a position is none of the recording.
func (f *follow) outside(pos uint64) bool {
	return pos <= f.from || f.cutOff && pos > f.closing.through
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
func (f *follow) end(known bool, id uint8, last int64) {
	f.ended, f.endKnown, f.endEpoch, f.last = true, known, id, last
}

// cut notes that the recording was stopped while the track went on: what the log has up to a position counts, and of what is said of the
// track only what was said by now. So the clip needs nothing but what is in the log already.
func (f *follow) cut(through uint64) {
	if f.cutOff {
		return
	}
	f.end(false, 0, -1)
	f.cutOff = true
	f.settle(through)
}

// clipped says whether the recording holds but a part of the track. Nobody knows then whether a seq that is not there is missing: no
// fact is appended for it.
func (f *follow) clipped() bool { return f.from > 0 || f.cutOff }

// fact folds what is said of the track's frames.
func (f *follow) fact(fact room.Fact) {
	switch fact := fact.(type) {
	case room.GapDeclared:
		f.declare(fact)
	case room.TrackClosed:
		f.settle(fact.Through)
	}
}

// settle folds track.closed: from here on it is known which frames count. So all recorders take the same ones, find the
// same ones missing and write the same bytes, whenever they read the log.
func (f *follow) settle(through uint64) {
	if f.closing != nil {
		return
	}
	f.closing = &closing{through, len(f.gaps)}
	if f.doubtful && f.newest > through {
		f.forgetOpen()
		return
	}
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
		if g.Through == f.closing.through && !f.clipped() {
			f.gaps = append(f.gaps, g)
		}
		return
	}
	f.gaps = append(f.gaps, g)
	if e := f.epochs[g.Epoch]; e != nil && strong(g) {
		e.drop(g.From, g.To, g.Through)
	}
}

// reopen takes back that a segment is closed, because what was stored of it is damaged. What the log has of it closes it again; the rest
// is declared as storage_corrupt.
func (f *follow) reopen(id uint8, n uint32) {
	if e := f.epochs[id]; e != nil && e.done.Contains(n) {
		e.reopen(n)
	}
}

// take counts a segment as closed that was closed before, by its stored form.
func (f *follow) take(s *recording.Segment, sum fingerprint) {
	e := f.epochs[s.Epoch]
	if e == nil {
		e = newEpoch(s.Unit)
		f.epochs[s.Epoch] = e
	}
	for _, it := range s.Items {
		if it.Kind != recording.Lost {
			e.have(int64(it.Seq), int64(it.Seq)+int64(it.Span)-1)
		}
		if it.Kind == recording.Present {
			f.frames++
		}
	}
	n := s.First / recording.SegmentSeqs
	e.done.Add(n, n)
	e.sums[n] = sum
}
