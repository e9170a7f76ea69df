package edge

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	preroll    = 5 * time.Second // of log read before the place that is wanted, so that it is in order there
	lookAhead  = 60 * time.Second
	aheadMost  = 4 << 20   // bytes that one listener holds back
	aheadLeast = 256 << 10 // and where all of them hold back too much
	turnEvery  = 50 * time.Millisecond
	seamEvery  = 10 * time.Millisecond
	privateLap = 256                    // slots of a private ring
	waitingFor = 500 * time.Millisecond // without progress before a listener is told that it waits
	farFuture  = math.MaxInt64 / 2
)

// player brings one socket from a place in the past to the live edge: it reads the tape, puts the packs in order, and fills a
// private ring no faster than the rate and no faster than the socket takes them. One goroutine owns it.
type player struct {
	hub    *hub
	conn   *conn
	reel   *reel
	where  place
	rate   float64
	answer func(playbackMessage) []byte

	ring    *ring
	base    uint64 // first index of the ring
	stopped atomic.Bool
	kick    chan struct{} // closed by stop

	from    int64 // places before it are not given: ns since 1970
	order   *order
	unfed   []*piece // read, and not yet in order
	start   uint64   // position read first
	read    uint64   // position to read next; 0: not known yet
	fed     int64    // when the log took the newest piece in order
	head    bool     // in this turn, the log had nothing more
	failed  bool     // in this turn, the log did not answer
	horizon int64    // places up to it are due: ns since 1970
	turned  int64    // monotonic ns of the last turn
	cursor  uint64   // in the room's ring: what lies before it was given
	held    int      // bytes counted in the tape

	answering sync.Mutex // guards said
	said      []byte     // the answer, once it was given

	state   string
	clamped string
	told    int64 // monotonic ns of the last playback message
	moved   int64 // monotonic ns of the last progress
	window  window
}

func newPlayer(h *hub, c *conn, where place, rate float64) *player {
	return &player{
		hub: h, conn: c, reel: h.reel, where: where, rate: rate, kick: make(chan struct{}), state: statePast,
		answer: func(m playbackMessage) []byte { return text(m) },
	}
}

// wind gives the player its ring, whose indices begin at base: so the cursor of its socket tells which ring it is in.
func (p *player) wind(base uint64) {
	p.ring, p.base = newRing(), base
	p.ring.head.Store(base)
}

// stop ends the player soon; what it still puts into its ring, nobody reads. It is called once, under the socket's lock. A request
// that still waits for its answer gets it now: another one was faster.
func (p *player) stop() {
	p.stopped.Store(true)
	close(p.kick)
	p.answering.Lock()
	defer p.answering.Unlock()
	if p.said == nil {
		p.said = p.answer(playbackMessage{Type: "playback", State: stateWaiting, At: time.Now().UTC(), Rate: p.rate})
	} else if taken := p.conn.progress.Load(); taken > p.base && taken <= p.ring.head.Load() {
		return // it has been written
	}
	p.conn.send(p.said)
}

// run works until the socket is at the live edge, or is wanted elsewhere.
func (p *player) run(ctx context.Context) {
	m := p.reel.tape.metrics
	m.rewinding.Add(1)
	defer m.rewinding.Add(-1)
	defer func() { p.count(0) }()
	if !p.locate(ctx) {
		return
	}
	if p.where.kind == fromLive {
		p.goLive(ctx)
		return
	}
	p.turned, p.moved = nanotime(), nanotime()
	for !p.stopped.Load() {
		wait, arrived := p.turn(ctx)
		if arrived || !p.sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits; false: it is over.
func (p *player) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.kick:
		return false
	case <-ctx.Done():
		return false
	}
}

// turn reads, gives what is due, and tries the seam.
func (p *player) turn(ctx context.Context) (wait time.Duration, arrived bool) {
	now := nanotime()
	p.horizon += int64(float64(now-p.turned) * p.rate)
	p.turned, p.head, p.failed = now, false, false
	before := p.ring.head.Load()
	p.give(ctx, now)
	if p.ring.head.Load() != before {
		p.moved = now
		p.tell(statePast, now)
	}
	wall := time.Now().UnixNano()
	atSeam := p.head && !p.failed && p.horizon >= wall && len(p.unfed) == 0 && p.order.idle()
	if atSeam && p.seam(wall, now) {
		if p.drained() && p.arriveAt(now) {
			return 0, true
		}
		p.moved = now
		p.conn.worker.wakeConn(p.conn)
		return seamEvery, false
	}
	stuck := p.failed || p.head && p.horizon >= wall
	if stuck && now-p.moved > int64(waitingFor) {
		p.tell(stateWaiting, now)
	}
	p.tellEachSecond(now)
	p.count(p.order.bytes)
	p.conn.worker.wakeConn(p.conn)
	if atSeam && now-p.moved < int64(waitingFor) {
		return seamEvery, false
	}
	return turnEvery, false
}

// give puts into the ring, in order, all that is due and fits.
func (p *player) give(ctx context.Context, now int64) {
	for l := range p.order.busy {
		l.parked = false
	}
	for p.room() > 3 && !p.stopped.Load() { // a packet, and what is told before it
		l := p.order.first()
		switch {
		case l == nil || l.waits[0].place > p.horizon:
			if !p.feed(ctx, p.horizon, now) && !p.jump(l) {
				return
			}
		case !l.joins():
			p.bridge(ctx, l, now)
		case l.due > now:
			l.parked = true
		default:
			p.put(l, now)
		}
	}
	if p.room() <= 3 { // the socket is slower than the rate: what it did not take is not owed to it
		p.horizon = min(p.horizon, p.upcoming()+int64(firstFor))
	}
}

// upcoming is the place of what is given next.
func (p *player) upcoming() int64 {
	next := p.order.earliest()
	if len(p.unfed) > 0 {
		next = min(next, p.unfed[0].at)
	}
	if next == math.MaxInt64 { // it is not read yet
		next = p.horizon
	}
	return max(next, p.from)
}

// jump leaves out a stretch in which the log has nothing, for a listener who wants to come to the live edge. It returns false where
// there is nothing to jump to.
func (p *player) jump(l *lane) bool {
	next := int64(math.MaxInt64)
	if l != nil {
		next = l.waits[0].place
	}
	if len(p.unfed) > 0 {
		next = min(next, p.unfed[0].at)
	}
	if p.rate == 1 || next == math.MaxInt64 || next <= p.horizon+int64(firstFor) {
		if p.rate > 1 && next == math.MaxInt64 && p.head && !p.failed && p.order.idle() {
			p.horizon = max(p.horizon, time.Now().UnixNano()) // the log has no more at all
		}
		return false
	}
	p.horizon = next
	return true
}

// feed brings the log's next piece in order, if it was stored by a time; false where there is none, or none can be held.
func (p *player) feed(ctx context.Context, by, now int64) bool {
	if len(p.unfed) == 0 && !p.more(ctx) {
		return false
	}
	next := p.unfed[0]
	if next.at > by || p.order.bytes >= p.most() {
		return false
	}
	p.unfed = p.unfed[1:]
	p.fed = max(p.fed, next.at)
	l := p.order.add(next)
	l.fresh = now
	return true
}

// more reads a span.
func (p *player) more(ctx context.Context) bool {
	if p.head || p.failed {
		return false
	}
	if p.read == 0 {
		second := time.Unix(0, p.from).Add(-preroll).Unix()
		found, err := p.reel.seek(second)
		if p.failed, p.head = err != nil, err == nil && found == 0; p.failed || p.head {
			return false
		}
		p.read, p.start = found, found
	}
	got, next, err := p.reel.read(ctx, p.read)
	p.failed, p.head = err != nil, err == nil && next == p.read
	if err == nil {
		p.unfed, p.read = got, next
	}
	return len(got) > 0 || !p.head && !p.failed && p.more(ctx)
}

func (p *player) most() int {
	if p.reel.tape.ahead.Load() > aheadBytes {
		return aheadLeast
	}
	return aheadMost
}

// count keeps the tape's count of what this listener holds back, and counts what it had to drop.
func (p *player) count(bytes int) {
	p.reel.tape.ahead.Add(int64(bytes - p.held))
	p.held = bytes
	if p.order != nil {
		p.reel.tape.metrics.tapeLate.Add(p.order.late)
		p.order.late = 0
	}
}

// put gives a lane's next piece to the socket.
func (p *player) put(l *lane, now int64) {
	w := p.order.take(l)
	if p.introduce(l); w.place < p.from || l.own {
		return
	}
	if len(l.left) > 0 {
		p.skipped(l.left...)
		l.left = nil
	}
	l.due = max(l.due, now-int64(float64(firstFor)/p.rate)) + int64(float64(w.lasts())/(p.rate*drift))
	p.push(w.message)
}

// drift is how much faster than the log's clock a speaker's may run without its track falling behind.
const drift = 1.05
