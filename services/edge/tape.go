package edge

import (
	"container/list"
	"context"
	"errors"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

const (
	tapeBytes  = 64 << 20               // of the log that an edge remembers, over all rooms
	tapeReads  = 4                      // reads of the log at once
	spanPacks  = 256                    // messages of a span
	spanBytes  = 1 << 20                // and their bytes
	headFor    = 100 * time.Millisecond // that the log has nothing more is believed for so long
	maxSeeks   = 1024                   // answers of one room that are remembered
	aheadBytes = 256 << 20              // that all listeners hold back to put in order, over all rooms
)

// tape is what an edge has read of the audio log: spans of rooms, read, parsed and encoded once for all who listen to the
// same minutes. The spans that nobody used for longest go when there are too many.
type tape struct {
	ctx     context.Context // of the edge: whose listener asked does not matter to the others who wait for the answer
	bus     *bus.Bus
	region  string
	metrics *metrics
	reading chan struct{} // has room for tapeReads
	ahead   atomic.Int64  // bytes that listeners hold back
	silent  atomic.Int64  // monotonic ns until when nothing is asked of a log that did not answer

	mu    sync.Mutex // guards all below, and the reels
	bytes int
	most  int
	used  *list.List // of *span, the latest used first
}

func newTape(ctx context.Context, b *bus.Bus, region string, m *metrics) *tape {
	return &tape{ctx: ctx, bus: b, region: region, metrics: m, reading: make(chan struct{}, tapeReads), most: tapeBytes, used: list.New()}
}

// reel is a room on the tape.
type reel struct {
	tape    *tape
	room    string
	filter  string
	flights singleflight.Group
	names   names
	heard   atomic.Int64 // monotonic ns when the newest live packet came that the log keeps; 0: none yet

	// Guarded by tape.mu.
	spans  []*span // in order; they never overlap
	loads  []*load
	empty  emptiness
	end    emptiness        // the same, by the word of several replicas
	sought emptiness        // the same for a second that was sought
	found  map[int64]uint64 // second -> position of the first pack at or after it
	mended map[hole]mending
	window windowKnown
}

// span is what the log holds of a room from one position through another. It never changes.
type span struct {
	reel          *reel
	from, through uint64
	pieces        []*piece
	bytes         int
	element       *list.Element
}

// load is a read under way. It covers at least spanPacks positions, unless the log ends before.
type load struct {
	from uint64
	done chan struct{}
}

// emptiness is a position (or a second) from which on the log had nothing of the room at a time.
type emptiness struct {
	from int64
	at   int64 // monotonic ns; 0: never
}

// covers says that there was nothing from a place on, a moment ago.
func (e emptiness) covers(from int64) bool { return e.holds(from, headFor) }

func (e emptiness) holds(from int64, believed time.Duration) bool {
	return e.at != 0 && from >= e.from && nanotime()-e.at < int64(believed)
}

func (t *tape) reel(room string) *reel {
	return &reel{tape: t, room: room, filter: subject.LogRoom(room), found: map[int64]uint64{}, mended: map[hole]mending{}}
}

// drop forgets a room.
func (t *tape) drop(r *reel) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(r.spans) > 0 {
		t.forget(r.spans[0])
	}
}

// forget takes a span out. The caller holds mu.
func (t *tape) forget(s *span) {
	r := s.reel
	if i := r.at(s.from); i < len(r.spans) && r.spans[i] == s {
		r.spans = append(r.spans[:i:i], r.spans[i+1:]...)
		t.used.Remove(s.element)
		t.bytes -= s.bytes
		t.metrics.tapeBytes.Store(int64(t.bytes))
	}
}

// at is the index of the first span that ends at a position or later. The caller holds mu.
func (r *reel) at(position uint64) int {
	return sort.Search(len(r.spans), func(i int) bool { return r.spans[i].through >= position })
}

var errLogSilent = errors.New("the audio log does not answer")

// read gives what the log holds of the room from a position on, a span at most, and the position after it. At the log's
// head there is nothing.
func (r *reel) read(ctx context.Context, from uint64) (got []*piece, next uint64, err error) {
	t := r.tape
	for {
		t.mu.Lock()
		if s := r.known(from); s != nil {
			t.mu.Unlock()
			t.metrics.tapeHits.Add(1)
			i := sort.Search(len(s.pieces), func(i int) bool { return s.pieces[i].position >= from })
			return s.pieces[i:], s.through + 1, nil
		}
		if r.empty.covers(int64(from)) {
			t.mu.Unlock()
			return nil, from, nil
		}
		if l := r.loading(from); l != nil {
			t.mu.Unlock()
			select {
			case <-l.done:
				continue
			case <-ctx.Done():
				return nil, from, ctx.Err()
			}
		}
		l := &load{from: from, done: make(chan struct{})}
		r.loads = append(r.loads, l)
		t.mu.Unlock()
		if err := r.load(l); err != nil {
			return nil, from, err
		}
	}
}

// known is the span that has a position, now the latest used. The caller holds mu.
func (r *reel) known(position uint64) *span {
	i := r.at(position)
	if i == len(r.spans) || r.spans[i].from > position {
		return nil
	}
	r.tape.used.MoveToFront(r.spans[i].element)
	return r.spans[i]
}

// loading is a read that is under way and will tell of a position. The caller holds mu.
func (r *reel) loading(position uint64) *load {
	for _, l := range r.loads {
		if l.from <= position && position < l.from+spanPacks {
			return l
		}
	}
	return nil
}

// load reads a span and takes it in, up to where another one begins.
func (r *reel) load(l *load) error {
	s, head, err := r.fetchSpan(l.from)
	t := r.tape
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range r.loads {
		if r.loads[i] == l {
			r.loads = append(r.loads[:i:i], r.loads[i+1:]...)
			break
		}
	}
	close(l.done)
	if err != nil {
		return err
	}
	if head {
		r.empty = emptiness{from: int64(s.through) + 1, at: nanotime()}
	}
	if s.through >= l.from {
		r.insert(s)
	}
	return nil
}

// insert takes a span in: without what the one after it has, and joined to the one before it where both are short. The
// caller holds mu.
func (r *reel) insert(s *span) {
	t, i := r.tape, r.at(s.from)
	if i < len(r.spans) && r.spans[i].from <= s.from {
		return // somebody was faster
	}
	if i < len(r.spans) && r.spans[i].from <= s.through {
		s.through = r.spans[i].from - 1
		n := sort.Search(len(s.pieces), func(n int) bool { return s.pieces[n].position > s.through })
		s.pieces = s.pieces[:n]
	}
	if i > 0 && r.spans[i-1].through+1 == s.from && len(r.spans[i-1].pieces)+len(s.pieces) <= spanPacks {
		before := r.spans[i-1]
		s.from, s.pieces = before.from, append(before.pieces[:len(before.pieces):len(before.pieces)], s.pieces...)
		t.forget(before)
		i--
	}
	for _, p := range s.pieces {
		s.bytes += p.cost()
	}
	r.spans = append(r.spans[:i:i], append([]*span{s}, r.spans[i:]...)...)
	s.element = t.used.PushFront(s)
	t.bytes += s.bytes
	t.metrics.tapeBytes.Store(int64(t.bytes))
	for t.bytes > t.most && t.used.Len() > 1 {
		t.forget(t.used.Back().Value.(*span))
	}
}
