package edge

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxVectors = 64                    // messages in one writev
	retryEvery = 10 * time.Millisecond // for sockets whose kernel buffer is full
)

// writers are the few goroutines that write to all sockets of an edge. Each owns a share of the sockets.
type writers struct {
	workers []*worker
	next    atomic.Uint32
}

func newWriters(m *metrics, l *limits) *writers {
	w := &writers{}
	for range max(2, runtime.NumCPU()) {
		w.workers = append(w.workers, newWorker(m, l))
	}
	return w
}

// assign chooses the worker of a new socket.
func (w *writers) assign() *worker { return w.workers[int(w.next.Add(1))%len(w.workers)] }

// run works until ctx ends.
func (w *writers) run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, worker := range w.workers {
		wg.Go(func() { worker.run(ctx) })
	}
	wg.Wait()
	return nil
}

// worker writes to its sockets: it is woken by rooms that have new packets and by sockets that have control messages,
// and makes one pass over all that is due.
type worker struct {
	metrics *metrics
	limits  *limits
	wake    chan struct{}

	mu     sync.Mutex // guards conns, shares
	conns  []*conn    // with control messages
	shares []*share   // of rooms with new packets

	// Owned by run.
	blocked  []*conn
	messages [][]byte
	slots    []*slot
	vectors  []syscall.Iovec
	wrote    int
	errno    syscall.Errno
	write    func(fd uintptr) bool // made once, so that a write allocates nothing
}

// share is the part of a room's listeners that one worker owns.
type share struct {
	worker *worker
	dirty  atomic.Bool
	mu     sync.Mutex // guards conns; held while the worker passes over them
	conns  []*conn
}

func newWorker(m *metrics, l *limits) *worker {
	w := &worker{metrics: m, limits: l, wake: make(chan struct{}, 1)}
	w.write = func(fd uintptr) bool {
		w.wrote, w.errno = writev(fd, w.vectors)
		return true // never wait here: a full buffer is tried again on the next pass
	}
	return w
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) wakeConn(c *conn) {
	if c.queued.Swap(true) {
		return
	}
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.mu.Unlock()
	w.signal()
}

func (w *worker) wakeShare(s *share) {
	if s.dirty.Swap(true) {
		return
	}
	w.mu.Lock()
	w.shares = append(w.shares, s)
	w.mu.Unlock()
	w.signal()
}

func (w *worker) run(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	ticker.Stop()
	var conns []*conn
	var shares []*share
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-ticker.C:
		}
		w.mu.Lock()
		conns, w.conns = w.conns, conns[:0]
		shares, w.shares = w.shares, shares[:0]
		w.mu.Unlock()
		had := len(w.blocked) > 0
		w.pass(conns, shares)
		clear(conns)
		clear(shares)
		if has := len(w.blocked) > 0; has != had {
			if has {
				ticker.Reset(retryEvery)
			} else {
				ticker.Stop()
			}
		}
	}
}

func (w *worker) pass(conns []*conn, shares []*share) {
	now := nanotime()
	for _, c := range conns {
		c.queued.Store(false)
		w.flush(c, now)
	}
	for _, s := range shares {
		s.dirty.Store(false)
		s.mu.Lock()
		for _, c := range s.conns {
			if !c.blocked {
				w.flush(c, now)
			}
		}
		s.mu.Unlock()
	}
	blocked := w.blocked
	w.blocked = w.blocked[:0]
	for _, c := range blocked {
		c.blocked = false
		w.flush(c, now)
		if !c.blocked {
			c.full.Store(false)
		}
	}
}

// flush writes all that is due to one socket and tells how far it has come.
func (w *worker) flush(c *conn, now int64) {
	w.flushAll(c, now)
	c.progress.Store(c.cursor)
}

// flushAll writes in one writev a round, until the socket is up to date or the kernel takes no more.
func (w *worker) flushAll(c *conn, now int64) {
	for !c.dead {
		if t := c.tuned.Swap(nil); t != nil {
			c.ring, c.cursor = t.ring, t.cursor
		}
		if c.ring != nil {
			w.skipIfLate(c, now)
		}
		controls, last := w.gather(c)
		if len(w.messages) == 0 {
			if last {
				c.dead = true
				c.end()
				return
			}
			c.cursor += uint64(len(w.slots)) // its own packets
			c.stuck = 0
			return
		}
		if !w.send(c) {
			return
		}
		flowing := w.account(c, controls, now)
		if !flowing {
			return
		}
	}
}

// gather collects, in the order of writing, the rest of a partly written message, control messages, and packets from
// the cursor to the live edge. It returns how many are control messages, and whether the connection is closing and nothing
// follows them.
func (w *worker) gather(c *conn) (controls int, last bool) {
	w.messages, w.slots = w.messages[:0], w.slots[:0]
	if len(c.rest) > 0 {
		w.messages = append(w.messages, c.rest)
	}
	before := len(w.messages)
	w.messages, last = c.takeControl(w.messages)
	if len(w.messages) > maxVectors {
		w.messages = w.messages[:maxVectors]
	}
	controls = len(w.messages) - before
	if c.ring == nil || last {
		return controls, last
	}
	head := c.ring.head.Load()
	for c.cursor+uint64(len(w.slots)) < head && len(w.messages) < maxVectors {
		s := c.ring.get(c.cursor + uint64(len(w.slots)))
		if s == nil { // the ring has passed this listener
			break
		}
		w.slots = append(w.slots, s)
		if s.session != c.session {
			w.messages = append(w.messages, s.message)
		}
	}
	return controls, last
}

// send tries one writev; false: the connection is gone.
func (w *worker) send(c *conn) bool {
	w.vectors = w.vectors[:0]
	for _, m := range w.messages {
		v := syscall.Iovec{Base: &m[0]}
		v.SetLen(len(m))
		w.vectors = append(w.vectors, v)
	}
	w.wrote, w.errno = 0, 0
	err := c.raw.Write(w.write)
	if err == nil && (w.errno == 0 || w.errno == syscall.EAGAIN || w.errno == syscall.EINTR) {
		return true
	}
	c.dead = true
	c.net.Close()
	return false
}
