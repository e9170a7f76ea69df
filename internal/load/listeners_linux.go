package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"airloom/internal/frame"
	"airloom/internal/participant"
)

const (
	maxMessage = 1 << 20
	readAtOnce = 256 << 10
	maxEvents  = 512
)

// Listeners are sockets that read what a server sends, as cheaply as they can: few threads on epoll, a shared buffer each, no word more of a
// packet than its header and the time in its first frame. They answer pings.
type Listeners struct {
	threads []*thread
	next    atomic.Uint32
	wg      sync.WaitGroup
}

// thread reads its share of the sockets.
type thread struct {
	epoll, stop int
	mu          sync.Mutex // guards all below
	socks       map[int32]*sock
	heard       Heard
	latency     participant.Histogram
	buf         []byte
	packet      frame.Packet
}

type sock struct {
	fd   int
	rest []byte
	next int64 // seq that comes next; -1 before the first
}

// Heard is what all listeners together have had.
type Heard struct {
	Sockets  int   // that are open
	Ended    int   // that the server has closed
	Messages int64 // of sound
	Frames   int64
	Bytes    int64 // all that was read
	Missing  int64 // seqs between two that were heard
	Doubled  int64
	Skipped  int64 // notices that something was left out
	Broken   int64 // what was no WebSocket frame, or no packet
	Latency  participant.Histogram
}

// NewListeners starts so many reading threads.
func NewListeners(threads int) (*Listeners, error) {
	l := &Listeners{}
	for range threads {
		t, err := newThread()
		if err != nil {
			l.Close()
			return nil, err
		}
		l.threads = append(l.threads, t)
		l.wg.Go(t.run)
	}
	return l, nil
}

func newThread() (*thread, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make an eventfd: %w", err), unix.Close(epoll))
	}
	t := &thread{epoll: epoll, stop: stop, socks: map[int32]*sock{}, buf: make([]byte, readAtOnce)}
	if err := t.watch(stop); err != nil {
		return nil, errors.Join(err, unix.Close(epoll), unix.Close(stop))
	}
	return t, nil
}

func (t *thread) watch(fd int) error {
	if err := unix.EpollCtl(t.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch a socket: %w", err)
	}
	return nil
}

// Join opens a socket (url: ws://host:port/path; "" hello: none is said and nothing awaited) and listens to it from then on.
func (l *Listeners) Join(ctx context.Context, url string, hello []byte) error {
	fd, leftover, err := open(ctx, url, hello)
	if err != nil {
		return err
	}
	t := l.threads[int(l.next.Add(1))%len(l.threads)]
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &sock{fd: fd, next: -1}
	t.socks[int32(fd)] = s
	t.take(s, leftover)
	return t.watch(fd)
}

// Heard adds up, and forgets, what was heard since the last call.
func (l *Listeners) Heard() Heard {
	var all Heard
	for _, t := range l.threads {
		t.mu.Lock()
		h := t.heard
		all.Sockets += len(t.socks)
		all.Ended += h.Ended
		all.Messages += h.Messages
		all.Frames += h.Frames
		all.Bytes += h.Bytes
		all.Missing += h.Missing
		all.Doubled += h.Doubled
		all.Skipped += h.Skipped
		all.Broken += h.Broken
		all.Latency.Merge(&t.latency)
		t.heard, t.latency = Heard{}, participant.Histogram{}
		t.mu.Unlock()
	}
	return all
}

// Close ends all sockets and threads.
func (l *Listeners) Close() {
	for _, t := range l.threads {
		_, _ = unix.Write(t.stop, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // an eventfd takes it
	}
	l.wg.Wait()
	for _, t := range l.threads {
		for _, s := range t.socks {
			_ = unix.Close(s.fd)
		}
		_, _ = unix.Close(t.epoll), unix.Close(t.stop)
	}
}

func (t *thread) run() {
	events := make([]unix.EpollEvent, maxEvents)
	for {
		n, err := unix.EpollWait(t.epoll, events, -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		t.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == t.stop {
				t.mu.Unlock()
				return
			}
			if s := t.socks[e.Fd]; s != nil {
				t.read(s)
			}
		}
		t.mu.Unlock()
	}
}

func (t *thread) read(s *sock) {
	n, err := unix.Read(s.fd, t.buf)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case n <= 0:
		t.drop(s)
	default:
		t.heard.Bytes += int64(n)
		t.take(s, t.buf[:n])
	}
}

func (t *thread) drop(s *sock) {
	t.heard.Ended++
	delete(t.socks, int32(s.fd))
	_ = unix.Close(s.fd)
}

// take handles whole messages and keeps the beginning of one that is not.
func (t *thread) take(s *sock, b []byte) {
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	for {
		opcode, payload, rest, err := message(b)
		if err != nil {
			t.heard.Broken++
			t.drop(s)
			return
		}
		if opcode == 0 {
			break
		}
		b = rest
		t.handle(s, opcode, payload)
	}
	s.rest = append(s.rest[:0], b...)
	if len(s.rest) == 0 {
		s.rest = nil
	}
}

var skippedNotice = []byte(`"skipped"`)

func (t *thread) handle(s *sock, opcode byte, payload []byte) {
	switch opcode {
	case opBinary:
		t.sound(s, payload)
	case opText:
		if len(payload) < 4096 && bytes.Contains(payload[:min(len(payload), 64)], skippedNotice) {
			t.heard.Skipped++
		}
	case opPing:
		_, _ = unix.Write(s.fd, appendMasked(nil, opPong, payload)) // a socket that takes no pong is one that the server ends
	}
}

func (t *thread) sound(s *sock, b []byte) {
	t.heard.Messages++
	now := Now()
	for len(b) > 0 {
		rest, err := frame.Parse(b, &t.packet)
		if err != nil {
			t.heard.Broken++
			return
		}
		b = rest
		p := &t.packet
		if p.Flags&frame.Backlog != 0 {
			continue // the burst for who comes late
		}
		first, last := int64(p.Seq), int64(p.Last())
		switch {
		case s.next >= 0 && last < s.next:
			t.heard.Doubled += last - first + 1
			continue
		case s.next >= 0 && first > s.next:
			t.heard.Missing += first - s.next
		}
		s.next = last + 1
		t.heard.Frames += int64(p.Count())
		if sent, ok := sentAt(p); ok {
			t.latency.Add((now - sent) / int64(time.Microsecond))
		}
	}
}
