package edge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bench is a set of writers with a ring and shares, as a hub has them, without a hub.
type bench struct {
	t       testing.TB
	metrics *metrics
	limits  limits
	writers *writers
	ring    *ring
	shares  []*share
	pairing sync.Mutex // else two dials could be accepted crosswise
	listen  *net.TCPListener
}

func newBench(t testing.TB) *bench {
	t.Helper()
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, metrics: m, limits: defaultLimits(), ring: newRing(), listen: l.(*net.TCPListener)}
	b.writers = newWriters(m, &b.limits)
	for _, w := range b.writers.workers {
		b.shares = append(b.shares, &share{worker: w})
	}
	t.Cleanup(func() { l.Close() })
	return b
}

func (b *bench) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.writers.run(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done })
}

// pair is a connected socket: the edge's half as a conn, and the far end.
func (b *bench) pair(session string, small bool) (*conn, net.Conn) {
	b.t.Helper()
	b.pairing.Lock()
	defer b.pairing.Unlock()
	far, err := (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if !small {
			return nil
		}
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
	}}).Dial("tcp", b.listen.Addr().String())
	if err != nil {
		b.t.Fatal(err)
	}
	near, err := b.listen.AcceptTCP()
	if err != nil {
		b.t.Fatal(err)
	}
	if small {
		if err := near.SetWriteBuffer(2048); err != nil {
			b.t.Fatal(err)
		}
	}
	raw, err := near.SyscallConn()
	if err != nil {
		b.t.Fatal(err)
	}
	c := &conn{net: near, raw: raw, worker: b.writers.assign(), session: session}
	b.t.Cleanup(func() { near.Close(); far.Close() })
	return c, far
}

// tune puts a conn among the listeners; it gives its first index.
func (b *bench) tune(c *conn) uint64 {
	h := &hub{ring: b.ring, shares: b.shares}
	cursor := b.ring.head.Load()
	h.tune(c, func() uint64 { return cursor }, false)
	return cursor
}

func (b *bench) untune(c *conn) { (&hub{ring: b.ring, shares: b.shares}).listen(c, false) }

// put makes a packet the newest: its payload is its index.
func (b *bench) put(index uint64, session string, size int) *slot {
	payload := make([]byte, size)
	binary.BigEndian.PutUint64(payload, index)
	for i := 8; i < size; i++ {
		payload[i] = byte(index) ^ byte(i)
	}
	s := &slot{message: message(opBinary, payload), session: session, track: session, first: uint32(index), last: uint32(index), at: nanotime()}
	b.ring.put(s)
	for _, share := range b.shares {
		share.worker.wakeShare(share)
	}
	return s
}

// frames reads what the edge wrote, frame by frame, until the end.
func readFrames(r io.Reader, take func(op byte, body []byte)) error {
	br := (&peer{r: newReaderOf(r)})
	for {
		op, body, err := br.readFrame()
		if err != nil {
			return err
		}
		take(op, body)
	}
}

// Tiny buffers make nearly every write a partial one. Control messages come whole and in order between packets, every packet
// comes whole and once, and what was skipped is exactly what the notices say.
func TestWriterOverTinyBuffers(t *testing.T) {
	b := newBench(t)
	b.run()
	c, far := b.pair("me", true)
	b.tune(c)
	const packets, notes = 400, 200
	type got struct {
		packets, notes []int
		err            error
	}
	result := make(chan got, 1)
	go func() {
		var g got
		g.err = readFrames(far, func(op byte, body []byte) {
			switch op {
			case opBinary:
				n := binary.BigEndian.Uint64(body)
				if !bytes.Equal(body[8:], pattern(n, len(body)-8)) {
					n = 1 << 40
				}
				g.packets = append(g.packets, int(n))
			case opText:
				var note struct{ N int }
				if json.Unmarshal(body, &note) != nil {
					note.N = -1
				}
				g.notes = append(g.notes, note.N)
			}
			if len(g.packets) == packets && len(g.notes) == notes {
				far.Close()
			}
		})
		result <- g
	}()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range notes {
			until(t, "room in the queue", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.control) < 100 })
			c.send(message(opText, fmt.Appendf(nil, `{"N":%d,"pad":%q}`, i, bytes.Repeat([]byte("x"), i*7))))
		}
	})
	for i := range uint64(packets) {
		b.put(i, "other", 8+int(i*13%3000))
		until(t, "the listener keeps up", func() bool { return i < 50 || b.metrics.delivered.Load() > int64(i)-50 })
	}
	wg.Wait()
	g := <-result
	for what, list := range map[string][]int{"packet": g.packets, "note": g.notes} {
		for i, n := range list {
			if n != i {
				t.Fatalf("%s %d is %d", what, i, n)
			}
		}
	}
	if len(g.packets) != packets || len(g.notes) != notes {
		t.Fatalf("%d packets, %d notes: %v", len(g.packets), len(g.notes), g.err)
	}
}

func pattern(index uint64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(index) ^ byte(i+8)
	}
	return p
}

// A socket that is stuck for a while goes on at the live edge and is told which seqs it missed: notices and packets together
// make up the whole. Another listener has all.
func TestStuckSocketSkipsToTheLiveEdge(t *testing.T) {
	b := newBench(t)
	b.limits.patience = 100 * time.Millisecond
	b.run()
	slow, slowFar := b.pair("slow", true)
	fast, fastFar := b.pair("fast", false)
	b.tune(slow)
	b.tune(fast)
	var fastGot []uint32
	fastDone := make(chan struct{})
	go func() {
		defer close(fastDone)
		_ = readFrames(fastFar, func(_ byte, body []byte) { fastGot = append(fastGot, uint32(binary.BigEndian.Uint64(body))) })
	}()
	n := uint64(0)
	within(t, 10*time.Second, "something is skipped", func() bool {
		b.put(n, "speaker", 900)
		n++
		return b.metrics.skipped.Load() > 0
	})
	covered := map[uint32]string{}
	var sum sync.Mutex
	slowDone := make(chan struct{})
	go func() {
		defer close(slowDone)
		_ = readFrames(slowFar, func(op byte, body []byte) {
			sum.Lock()
			defer sum.Unlock()
			if op == opBinary {
				seq := uint32(binary.BigEndian.Uint64(body))
				if covered[seq] != "" {
					t.Errorf("seq %d was %s and is heard", seq, covered[seq])
				}
				covered[seq] = "heard"
				return
			}
			var m skippedMessage
			if err := json.Unmarshal(body, &m); err != nil || len(m.Tracks) != 1 || m.Tracks[0].Track != "speaker" {
				t.Errorf("notice %s: %v", body, err)
				return
			}
			for seq := m.Tracks[0].From; seq <= m.Tracks[0].To; seq++ {
				if covered[seq] != "" {
					t.Errorf("seq %d was %s and is skipped", seq, covered[seq])
				}
				covered[seq] = "skipped"
			}
		})
	}()
	for range 20 { // it reads again: live sound, gap told
		b.put(n, "speaker", 900)
		n++
	}
	until(t, "the slow one has heard or been told of all", func() bool {
		sum.Lock()
		defer sum.Unlock()
		return len(covered) == int(n)
	})
	until(t, "the fast one is up to date", func() bool { return b.metrics.delivered.Load() >= int64(n) })
	slow.net.Close()
	fast.net.Close()
	<-slowDone
	<-fastDone
	if len(fastGot) != int(n) {
		t.Errorf("the fast listener has %d of %d", len(fastGot), n)
	}
}

// Nobody reads: after the bound the socket is closed, and its worker goes on serving the others.
func TestStuckSocketIsClosed(t *testing.T) {
	b := newBench(t)
	b.limits.stuck, b.limits.patience = 100*time.Millisecond, 20*time.Millisecond
	b.run()
	stuck, _ := b.pair("stuck", true)
	b.tune(stuck)
	var n uint64
	within(t, 10*time.Second, "the stuck socket is closed", func() bool {
		b.put(n, "speaker", 900)
		n++
		return b.metrics.slowClosed.Load() == 1
	})
	if _, err := stuck.net.Write([]byte("x")); err == nil {
		t.Error("it can still be written to")
	}
}

// Joins, leaves and slow sockets at random, under load: each listener hears exactly the packets of the time it listened, but
// its own, in order; each hears the same bytes as they were put (by SHA-256).
func TestRandomJoinsAndLeaves(t *testing.T) {
	b := newBench(t)
	b.run()
	const listeners, packets, speakers = 16, 1500, 4
	var all sync.Map // index -> message
	stop := make(chan struct{})
	var putting sync.WaitGroup
	putting.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for i := range uint64(packets) {
			s := b.put(i, fmt.Sprintf("s%d", i%speakers), 20+int(i%400))
			all.Store(i, s)
			if i%50 == 0 {
				<-pace.C
			}
		}
		close(stop)
	})
	var wg sync.WaitGroup
	for l := range listeners {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(l)))
			for round := 0; ; round++ {
				select {
				case <-stop:
					return
				default:
				}
				session := fmt.Sprintf("s%d", random.IntN(2*speakers)) // half of them speak themselves
				c, far := b.pair(session, random.IntN(2) == 0)
				first := b.tune(c)
				sum, count, last := sha256.New(), 0, int64(first)-1
				limit := 1 + random.IntN(200)
				_ = far.SetReadDeadline(time.Now().Add(3 * time.Second))
				_ = readFrames(far, func(op byte, body []byte) {
					if op == opBinary && count < limit {
						sum.Write(body)
						count++
						if last = int64(binary.BigEndian.Uint64(body)); count == limit {
							far.Close()
						}
					}
				})
				b.untune(c)
				c.net.Close()
				want, n := sha256.New(), 0
				for i := first; int64(i) <= last; i++ {
					v, ok := all.Load(i)
					if !ok {
						until(t, "the packet is noted", func() bool { v, ok = all.Load(i); return ok })
					}
					if s := v.(*slot); s.session != session {
						want.Write(s.message[headSize(s.message):])
						n++
					}
				}
				if n != count || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
					t.Errorf("listener %d round %d (%s): %d packets from %d to %d, want %d", l, round, session, count, first, last, n)
					return
				}
			}
		})
	}
	putting.Wait()
	wg.Wait()
}

func headSize(m []byte) int {
	switch m[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}

// After a close frame nothing is written, whatever the room says.
func TestNothingFollowsTheCloseFrame(t *testing.T) {
	b := newBench(t)
	b.run()
	c, far := b.pair("me", false)
	b.tune(c)
	b.put(0, "other", 50)
	until(t, "the packet is out", func() bool { return b.metrics.delivered.Load() == 1 })
	c.send(message(opText, []byte("last words")))
	c.close(1000, "bye")
	for i := uint64(1); i < 50; i++ {
		b.put(i, "other", 50)
	}
	var ops []byte
	if err := readFrames(far, func(op byte, _ []byte) { ops = append(ops, op) }); err != io.EOF {
		t.Errorf("ends with %v", err)
	}
	end := bytes.IndexByte(ops, opClose)
	if end != len(ops)-1 || ops[end-1] != opText {
		t.Errorf("opcodes %v", ops)
	}
}

func TestControlQueueIsBounded(t *testing.T) {
	b := newBench(t) // its workers do not run: nothing is ever written
	c, _ := b.pair("me", false)
	for range maxControl + 10 {
		c.send(pingFrame)
	}
	if len(c.control) > maxControl || !c.closing {
		t.Errorf("%d messages wait, closing %v", len(c.control), c.closing)
	}
	d, _ := b.pair("me", false)
	for range 20 {
		d.send(message(opText, make([]byte, 60<<10)))
	}
	if d.controlBytes > maxControlBytes || !d.closing {
		t.Errorf("%d bytes wait, closing %v", d.controlBytes, d.closing)
	}
}
