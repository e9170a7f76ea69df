package edge

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxControl      = 1024      // control messages waiting for a socket
	maxControlBytes = 512 << 10 // and their bytes, where more than one waits; past either the socket is closed as slow
)

// conn is the outgoing half of a socket. All that goes out after the handshake passes its worker: control messages
// from a bounded queue and packets from a ring, whole messages in turn, so that nothing ever lands inside a
// message that is half written.
type conn struct {
	net    *net.TCPConn
	raw    syscall.RawConn
	worker *worker

	mu           sync.Mutex // guards all below, up to queued
	control      [][]byte   // WebSocket frames waiting
	controlBytes int
	closing      bool // nothing is queued any more; a close frame is the last of the queue
	written      bool // all of it has been written
	finished     bool // the reading half is done

	queued  atomic.Bool // it waits in the worker's list
	full    atomic.Bool // its kernel buffer is: the ten seconds of the worker are its judge, not pongs
	session string      // set before it listens: it does not hear itself

	tuned    atomic.Pointer[tuning] // what it shall listen to, for its worker to take up
	past     playing                // who fills its private ring, while it listens to the past
	progress atomic.Uint64          // the cursor, as its worker tells it

	// Owned by the worker.
	ring    *ring // nil while it does not listen
	cursor  uint64
	rest    []byte // of a message that was partly written
	stuck   int64  // monotonic ns since when nothing could be written; 0: it flows
	blocked bool   // it is in the worker's list of blocked sockets
	dead    bool
	skipped uint64 // packets it never got
}

// tuning is a place in a room's ring or in a private one, or none (a nil ring).
type tuning struct {
	ring   *ring
	cursor uint64
}

// send puts a control message (an encoded WebSocket frame) into the queue. It never blocks; a socket that lets its
// queue grow past the bound is closed.
func (c *conn) send(frame []byte) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	if len(c.control) >= maxControl || len(c.control) > 0 && c.controlBytes+len(frame) > maxControlBytes {
		c.mu.Unlock()
		c.cut()
		return
	}
	c.control = append(c.control, frame)
	c.controlBytes += len(frame)
	c.mu.Unlock()
	c.worker.wakeConn(c)
}

// close sends a close frame after all that is queued, and cuts the connection when the peer does not end it in time.
func (c *conn) close(code int, reason string) {
	frame := closeMessage(code, reason)
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing = true
	c.control = append(c.control, frame)
	c.controlBytes += len(frame)
	c.mu.Unlock()
	c.worker.wakeConn(c)
	time.AfterFunc(c.worker.limits.close, func() { c.net.Close() })
}

func (c *conn) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// cut ends the connection without a word: its peer does not read.
func (c *conn) cut() {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()
	c.net.Close()
}

// finish is called by the reading half when it is done: the connection ends as soon as what is queued has been written.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finished = true
	if !c.closing || c.written {
		c.closing = true
		c.net.Close()
	}
}

// end is called by the worker when a closing connection's queue is empty: nothing will ever be written again.
func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = true
	if c.finished {
		c.net.Close()
		return
	}
	_ = c.net.CloseWrite() // the reading half waits for the peer's end
}

// takeControl moves waiting control messages to dst; last says that the connection is closing and only they remain.
func (c *conn) takeControl(dst [][]byte) (frames [][]byte, last bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(dst, c.control...), c.closing
}

// dropControl forgets the first n control messages: they were written.
func (c *conn) dropControl(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, frame := range c.control[:n] {
		c.controlBytes -= len(frame)
	}
	if n == len(c.control) {
		c.control = nil // an idle socket holds no memory for it
		return
	}
	c.control = c.control[n:]
}
