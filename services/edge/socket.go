package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"

	"airloom/internal/frame"
)

const (
	maxPacketMessage = 8 << 10
	maxControlText   = 64 << 10
	maxHelloText     = 8 << 10
	helloWithin      = 5 * time.Second
	messageWithin    = 10 * time.Second
	pingAfter        = 2 * time.Second
	deadAfter        = 6 * time.Second
	maxStrikes       = 3
	strikeSpan       = 60 * time.Second
	maxNotOpus       = 50
)

// socket is the incoming half of a connection: one goroutine reads it, and it belongs to at most one session.
type socket struct {
	edge    *Edge
	ws      *websocket.Conn
	conn    *conn
	session atomic.Pointer[session]

	heard  atomic.Int64 // monotonic ns of the newest sign of life
	pinged atomic.Int64

	// Owned by the reading goroutine.
	buf     []byte
	strikes []time.Time
	notOpus int
	pongs   *rate.Limiter
	pings   *rate.Limiter
	rate    *rate.Limiter

	requests requests
}

// serve starts the socket's reading goroutine.
func (e *Edge) serve(ws *websocket.Conn, door *doorConn) error {
	tcp, ok := door.Conn.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("serve socket: %T is not a TCP connection", door.Conn)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("serve socket: %w", err)
	}
	if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
		return fmt.Errorf("serve socket: %w", err)
	}
	s := &socket{
		edge: e, ws: ws,
		conn:  &conn{net: tcp, raw: raw, worker: e.writers.assign()},
		pongs: rate.NewLimiter(2, 2), pings: rate.NewLimiter(50, 100), rate: rate.NewLimiter(5, 20),
	}
	door.out.Store(s.conn)
	s.heard.Store(nanotime())
	ws.SetPingHandler(s.ping)
	ws.SetPongHandler(func(string) error { s.heard.Store(nanotime()); return nil })
	ws.SetCloseHandler(func(code int, _ string) error { s.conn.close(echo(code), ""); return nil })
	e.mu.Lock()
	e.sockets[s] = struct{}{}
	e.metrics.sockets.Store(int64(len(e.sockets)))
	e.mu.Unlock()
	e.background(func(context.Context) { s.read() })
	return nil
}

// echo is the code that answers a peer's close.
func echo(code int) int {
	if code == websocket.CloseNoStatusReceived {
		return closeNormal
	}
	return code
}

// read takes messages until the connection ends.
func (s *socket) read() {
	defer s.gone()
	s.ws.SetReadLimit(maxHelloText)
	deadline := time.AfterFunc(helloWithin, func() {
		if s.session.Load() == nil {
			s.fail(refuse("auth_timeout", closeAuthTimeout, "no hello within %v", helloWithin), 0)
		}
	})
	defer deadline.Stop()
	for {
		kind, reader, err := s.ws.NextReader()
		if err != nil {
			s.readFailed(err)
			return
		}
		body, err := s.readMessage(kind, reader)
		if err != nil {
			s.readFailed(err)
			return
		}
		s.heard.Store(nanotime())
		switch kind {
		case websocket.TextMessage:
			s.control(body)
		case websocket.BinaryMessage:
			s.packets(body)
		}
	}
}

var errFragments = errors.New("too many fragments")

// readMessage reads a message into the socket's buffer: within ten seconds, and not in crumbs.
func (s *socket) readMessage(kind int, r io.Reader) ([]byte, error) {
	if err := s.ws.SetReadDeadline(time.Now().Add(messageWithin)); err != nil {
		return nil, err
	}
	s.buf = s.buf[:0]
	for reads := 0; ; reads++ {
		if cap(s.buf)-len(s.buf) < 512 {
			s.buf = append(make([]byte, 0, max(1024, 2*cap(s.buf))), s.buf...)
		}
		n, err := r.Read(s.buf[len(s.buf):cap(s.buf)])
		s.buf = s.buf[:len(s.buf)+n]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if reads > 16+len(s.buf)/64 {
			return nil, errFragments
		}
		if kind == websocket.BinaryMessage && len(s.buf) > maxPacketMessage {
			return nil, websocket.ErrReadLimit
		}
	}
	body := s.buf
	if cap(s.buf) > maxPacketMessage {
		s.buf = nil // a long control message is rare: don't hold its memory
	}
	return body, s.ws.SetReadDeadline(time.Time{})
}

// readFailed closes with the code that fits.
func (s *socket) readFailed(err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errFragments):
		s.conn.close(closePolicy, "too many fragments")
	case errors.Is(err, websocket.ErrReadLimit):
		s.conn.close(closeTooBig, "message too long")
	case errors.As(err, &timeout) && timeout.Timeout():
		s.conn.close(closePolicy, "message not finished within 10 s")
	}
}

// gone takes the socket out of the edge; its session may come back.
func (s *socket) gone() {
	e := s.edge
	e.mu.Lock()
	delete(e.sockets, s)
	e.metrics.sockets.Store(int64(len(e.sockets)))
	e.mu.Unlock()
	if session := s.session.Load(); session != nil {
		h := session.hub
		h.mu.Lock()
		delete(h.conns, s.conn)
		h.mu.Unlock()
		h.listen(s.conn, false)
		session.detach(s.conn)
	}
	s.conn.finish()
}

func (s *socket) ping(payload string) error {
	s.heard.Store(nanotime())
	if !s.pings.Allow() {
		s.conn.close(closePolicy, "too many pings")
		return errors.New("too many pings")
	}
	if s.pongs.Allow() {
		s.conn.send(message(opPong, []byte(payload)))
	}
	return nil
}

// keepAlive runs once a second: a ping every two seconds of silence, and the end after six.
func (s *socket) keepAlive(now int64) {
	heard, pinged := s.heard.Load(), s.pinged.Load()
	quiet := time.Duration(now - heard)
	switch {
	case pinged > heard && quiet > deadAfter && !s.conn.full.Load():
		s.conn.cut()
	case pinged <= heard && quiet >= pingAfter-time.Second/2:
		s.pinged.Store(now)
		s.conn.send(pingFrame)
	}
}

var pingFrame = message(opPing, nil)

// packets takes a binary message: packets one after the other.
func (s *socket) packets(b []byte) {
	session := s.session.Load()
	switch {
	case session == nil:
		s.fail(refuse("bad_message", closePolicy, "packets before hello"), 0)
		return
	case len(b) > maxPacketMessage:
		s.conn.close(closeTooBig, "message too long")
		return
	case !session.grants().Speak:
		s.strike(strike("forbidden", "this token does not allow speaking"), closeForbidden)
		return
	}
	now := nanotime()
	for len(b) > 0 {
		var p frame.Packet
		rest, err := frame.Parse(b, &p)
		if err != nil {
			s.badPacket(session, err, &p)
			b = rest
			continue
		}
		s.notOpus = 0
		if r := s.packet(session, &p, now); r != nil {
			s.refusePacket(r)
		}
		b = rest
	}
}

func (s *socket) packet(session *session, p *frame.Packet, now int64) *refusal {
	t := session.trackByHandle(p.Handle)
	if t == nil {
		return strike("unknown_track", "this session has no track with handle %d", p.Handle)
	}
	return t.take(p, now)
}

func (s *socket) refusePacket(r *refusal) {
	if r.close != 0 {
		s.edge.metrics.drop(r.code)
		s.fail(r, 0)
		return
	}
	s.strike(r, closePolicy)
}

// badPacket answers what cannot be parsed, or is not Opus. A run of packets that are not Opus is one strike; a run of
// fifty says that this is no audio at all.
func (s *socket) badPacket(session *session, err error, p *frame.Packet) {
	switch {
	case errors.Is(err, frame.ErrVersion):
		s.edge.metrics.drop("bad_packet")
		s.fail(refuse("bad_packet", closeUnsupported, "%v", err), 0)
	case errors.Is(err, frame.ErrOpus):
		if t := session.trackByHandle(p.Handle); t != nil {
			t.reject(p)
		}
		switch s.notOpus++; {
		case s.notOpus >= maxNotOpus:
			s.fail(refuse("bad_opus", closeUnsupported, "%d packets in a row were not Opus", s.notOpus), 0)
		case s.notOpus > 1:
			s.edge.metrics.drop("bad_opus")
		default:
			s.strike(strike("bad_opus", "%v", err), closePolicy)
		}
	default:
		s.strike(strike("bad_packet", "%v", err), closePolicy)
	}
}

// strike tells the peer that something was dropped; the third within a minute ends the socket.
func (s *socket) strike(r *refusal, code int) {
	s.edge.metrics.drop(r.code)
	s.edge.metrics.strikes.Add(1)
	now := time.Now()
	kept := s.strikes[:0]
	for _, at := range s.strikes {
		if now.Sub(at) < strikeSpan {
			kept = append(kept, at)
		}
	}
	s.strikes = append(kept, now)
	if len(s.strikes) >= maxStrikes {
		s.fail(&refusal{code: r.code, text: r.text, close: code}, 0)
		return
	}
	s.conn.send(text(errorMessage{Type: "error", Code: r.code, Message: r.text}))
}

// fail tells the peer why, and closes when the refusal is fatal.
func (s *socket) fail(r *refusal, re uint64) {
	m := errorMessage{Type: "error", Re: re, Code: r.code, Message: r.text, Fatal: r.close != 0}
	if r.close == closeVersion {
		m.Supported = []int{protocolVersion}
	}
	s.conn.send(text(m))
	if r.close != 0 {
		s.edge.metrics.closed.Add(context.Background(), 1, metric.WithAttributes(attribute.Int("code", r.close)))
		s.conn.close(r.close, r.text)
	}
}

// requests remembers answers, so that a request that comes twice is answered twice and done once.
type requests struct {
	mu      sync.Mutex
	answers [16]struct {
		id    uint64
		frame []byte // nil: still being worked on
	}
	next   int
	queue  []func() // requests that wait for the log, in order
	busy   bool
	isOver bool
}

// begin says whether a request is new; otherwise frame is its answer, if there is one already.
func (q *requests) begin(id uint64) (fresh bool, frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.answers {
		if q.answers[i].id == id {
			return false, q.answers[i].frame
		}
	}
	q.answers[q.next].id, q.answers[q.next].frame = id, nil
	q.next = (q.next + 1) % len(q.answers)
	return true, nil
}

func (q *requests) finish(id uint64, frame []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.answers {
		if q.answers[i].id == id {
			q.answers[i].frame = frame
		}
	}
}

// finish closes the connection once what is queued has had its chance.
func (c *conn) finish() {
	c.mu.Lock()
	waiting := len(c.control) > 0
	c.closing = true
	c.mu.Unlock()
	if !waiting {
		c.net.Close()
		return
	}
	time.AfterFunc(closeAfter, func() { c.net.Close() })
}
