package edge

import (
	"math"
	"sort"
	"time"
)

// order puts the packs of a room, which resends have left in disorder in the log, where their seqs belong: within each track
// strictly by (epoch, seq), and tracks by when the log had them. It computes only; its owner reads, waits and decides when a
// hole is given up.
type order struct {
	began int64 // when the log took what is wanted from its epoch's beginning: ns since 1970
	from  int64 // and from when on it took what is wanted in any case
	reads bool  // it is given what the log took right before that: a track that is live has begun by then
	lanes map[string]*lane
	busy  map[*lane]struct{} // those with something that waits
	bytes int                // that wait
	late  int64              // pieces whose place had been passed

	live func() map[string]bool // tracks of which the room's ring has something; nil: there is no ring
}

// lane is one track.
type lane struct {
	track    string
	begun    bool   // epoch and next are known
	epoch    uint8  // what is given next
	next     uint64 // seq
	position uint64 // in the log, of what was given last
	newest   int64  // when the log took the newest piece of it, or when it was first heard of
	left     []hole // left out where it was taken up, and not told yet
	waits    []entry

	// Of the owner.
	own    bool  // the listener's own: not for its ears
	told   bool  // the listener knows what track this is
	parked bool  // it gives nothing in this turn
	due    int64 // monotonic ns before which it gives nothing: the rate
	fresh  int64 // monotonic ns when the newest piece was read
}

// entry is a piece that waits for its turn.
type entry struct {
	*piece
	place int64 // when the log would have had it, had it not been sent again: ns since 1970
}

func newOrder(began int64) *order {
	return &order{began: began, lanes: map[string]*lane{}, busy: map[*lane]struct{}{}}
}

const (
	maxLanes = 1024      // tracks that are remembered though nothing of them waits
	laneOver = time.Hour // of the log without a piece: the track is over, or begins anew
)

// forget drops lanes of tracks that are long over, when there are many. What the room's ring still names is not over: it would be given
// anew.
func (o *order) forget(at int64) {
	if len(o.lanes) <= maxLanes {
		return
	}
	var live map[string]bool
	for track, l := range o.lanes {
		if len(l.waits) > 0 || at-l.newest <= int64(laneOver) {
			continue
		}
		if live == nil && o.live != nil {
			live = o.live()
		}
		if !live[track] {
			delete(o.lanes, track)
		}
	}
}

func (o *order) lane(track string, at int64) *lane {
	l := o.lanes[track]
	if l == nil {
		o.forget(at)
		l = &lane{track: track, newest: at}
		o.lanes[track] = l
	}
	return l
}

// add takes in the log's next piece.
func (o *order) add(p *piece) *lane {
	l := o.lane(p.track, p.at)
	l.newest = max(l.newest, p.at)
	if !l.begun && !p.late && !o.resumes(p) {
		o.begin(l, p) // what was sent again says nothing of where the track is
	}
	if l.passed(p) {
		o.late++
		return l
	}
	i := sort.Search(len(l.waits), func(i int) bool {
		w := l.waits[i]
		return w.epoch > p.epoch || w.epoch == p.epoch && w.first > p.first
	})
	l.waits = append(l.waits, entry{})
	copy(l.waits[i+1:], l.waits[i:])
	l.waits[i] = entry{p, p.at}
	o.bytes += p.cost()
	o.busy[l] = struct{}{}
	if i+1 < len(l.waits) {
		l.waits[i].place = min(p.at, l.waits[i+1].place)
	}
	for j := i - 1; j >= 0 && l.waits[j].place > l.waits[i].place; j-- {
		l.waits[j].place = l.waits[i].place
	}
	o.trim(l)
	return l
}

// passed says that all of p was given, or that it comes too late.
func (l *lane) passed(p *piece) bool {
	return l.begun && (p.epoch < l.epoch || p.epoch == l.epoch && uint64(p.last) < l.next)
}

// trim drops what was passed from the front, and cuts what was given in part.
func (o *order) trim(l *lane) {
	for len(l.waits) > 0 && l.passed(l.waits[0].piece) {
		o.pop(l)
		o.late++
	}
	if len(l.waits) == 0 || !l.begun {
		return
	}
	if w := &l.waits[0]; w.epoch == l.epoch && uint64(w.first) < l.next {
		o.bytes -= w.cost()
		w.piece = w.part(uint32(l.next), w.last)
		o.bytes += w.cost()
	}
}

func (o *order) pop(l *lane) entry {
	w := l.waits[0]
	l.waits[0] = entry{}
	if l.waits = l.waits[1:]; len(l.waits) == 0 {
		l.waits = nil
		delete(o.busy, l)
	}
	o.bytes -= w.cost()
	return w
}

// first is the lane whose turn it is, of those that are not parked; nil where nothing waits.
func (o *order) first() (turn *lane) {
	for l := range o.busy {
		if l.parked {
			continue
		}
		if turn == nil || before(l.waits[0], turn.waits[0]) {
			turn = l
		}
	}
	return turn
}

func before(a, b entry) bool {
	return a.place < b.place || a.place == b.place && (a.position < b.position || a.position == b.position && a.track < b.track)
}

// idle says that nothing waits.
func (o *order) idle() bool { return len(o.busy) == 0 }

// earliest is the place of the earliest piece that waits; MaxInt64 where none does.
func (o *order) earliest() int64 {
	place := int64(math.MaxInt64)
	for l := range o.busy {
		place = min(place, l.waits[0].place)
	}
	return place
}

// joins says whether what waits first goes on where the lane is.
func (l *lane) joins() bool {
	return l.begun && l.waits[0].epoch == l.epoch && uint64(l.waits[0].first) <= l.next
}

// missing is what lies between the lane and what waits first; ok is false where nothing does.
func (l *lane) missing() (h hole, ok bool) {
	w := l.waits[0]
	h = hole{track: l.track, epoch: w.epoch, to: w.first - 1}
	switch {
	case !l.begun:
		return h, false
	case w.epoch == l.epoch:
		h.from = uint32(l.next)
	}
	return h, w.first > h.from
}

// skip goes on at what waits first.
func (l *lane) skip() {
	w := l.waits[0]
	l.begun, l.epoch, l.next = true, w.epoch, uint64(w.first)
}

// take gives what waits first, which joins.
func (o *order) take(l *lane) entry {
	w := o.pop(l)
	l.next, l.position = uint64(w.last)+1, w.position
	o.trim(l)
	return w
}
