package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/time/rate"

	"airloom/internal/frame"
)

const (
	maxStrikes = 3
	strikeSpan = 60 * time.Second
)

// socket is the incoming half of a connection: one goroutine reads it, and it belongs to at most one session.
type socket struct {
	edge    *Edge
	conn    *conn
	in      framesIn
	session atomic.Pointer[session]

	heard  atomic.Int64 // monotonic ns of the newest sign of life
	pinged atomic.Int64

	// Owned by the reading goroutine.
	strikes []time.Time
	notOpus int
	packet  frame.Packet
	pongs   *rate.Limiter
	pings   *rate.Limiter
	rate    *rate.Limiter
	waiting *time.Timer // for hello
}

// read takes messages until the connection ends or is being closed.
func (s *socket) read() {
	s.waiting = time.AfterFunc(s.edge.limits.hello, func() {
		s.fail(refuse("auth_timeout", closeAuthTimeout, "no hello within %v", s.edge.limits.hello), 0)
	})
	err := s.take()
	s.waiting.Stop()
	s.detach()
	s.linger(err)
	s.conn.finish()
	s.edge.forgetSocket(s)
}

// take handles messages one after the other. Once the edge has begun to close the socket, nothing more counts.
func (s *socket) take() error {
	for {
		opcode, body, err := s.in.next()
		if err != nil {
			s.readFailed(err)
			return err
		}
		if s.conn.isClosing() {
			return nil
		}
		s.heard.Store(nanotime())
		if opcode == opText {
			s.control(body)
		} else {
			s.packets(body)
		}
	}
}

// readFailed closes with the code that fits.
func (s *socket) readFailed(err error) {
	var (
		wrong   *violation
		goodbye *peerClosed
		timeout net.Error
	)
	switch {
	case errors.As(err, &wrong):
		s.edge.metrics.countClose(wrong.code)
		s.conn.close(wrong.code, wrong.text)
	case errors.As(err, &goodbye):
		s.conn.close(echo(goodbye.code), "")
	case errors.As(err, &timeout) && timeout.Timeout():
		s.edge.metrics.countClose(closePolicy)
		s.conn.close(closePolicy, "a message took too long")
	}
}

// echo is the code that answers a peer's close.
func echo(code int) int {
	if code == noCode {
		return closeNormal
	}
	return code
}

// linger discards what the peer still sends, until it has read our close frame and ends the connection, or the time for
// that is over. Closing with bytes unread would reset the connection, and the peer might never see why.
func (s *socket) linger(err error) {
	if !s.conn.isClosing() { // the connection broke
		return
	}
	for err == nil { // ours came first: what follows are messages that nobody needs, and then its close frame
		_, _, err = s.in.next()
	}
	if errors.As(err, new(net.Error)) || errors.Is(err, io.EOF) {
		return
	}
	_ = s.in.conn.SetReadDeadline(time.Now().Add(s.edge.limits.close))
	_, _ = io.Copy(io.Discard, s.in.conn)
}

// detach takes the socket out of its session, which may come back.
func (s *socket) detach() {
	session := s.session.Load()
	if session == nil {
		return
	}
	h := session.hub
	h.mu.Lock()
	delete(h.conns, s.conn)
	h.mu.Unlock()
	h.listen(s.conn, false)
	session.detach(s.conn)
}

var errTooManyPings = &violation{closePolicy, "too many pings"}

func (s *socket) ping(payload []byte) error {
	s.heard.Store(nanotime())
	if !s.pings.Allow() {
		return errTooManyPings
	}
	if s.pongs.Allow() {
		s.conn.send(message(opPong, payload))
	}
	return nil
}

// keepAlive runs once a second: a ping every two seconds of silence, and the end after six. A message that is on its way
// has a deadline of its own, and a socket that takes nothing more its worker's.
func (s *socket) keepAlive(now int64) {
	heard, pinged := s.heard.Load(), s.pinged.Load()
	quiet := time.Duration(now - heard)
	limits := &s.edge.limits
	switch {
	case s.in.amid.Load():
	case pinged > heard && quiet > limits.dead && !s.conn.full.Load():
		s.conn.cut()
	case pinged <= heard && quiet >= limits.ping*3/4:
		s.pinged.Store(now)
		s.conn.send(pingFrame)
	}
}

var pingFrame = message(opPing, nil)

// strike tells the peer that something was dropped; the third within a minute ends the socket.
func (s *socket) strike(r *refusal, code int, re uint64) {
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
		s.fail(&refusal{code: r.code, text: r.text, close: code}, re)
		return
	}
	s.fail(&refusal{code: r.code, text: r.text}, re)
}

// fail tells the peer why, and closes when the refusal is fatal. It is the answer to the request re, unless that is 0.
func (s *socket) fail(r *refusal, re uint64) {
	m := errorMessage{Type: "error", Re: re, Code: r.code, Message: r.text, Fatal: r.close != 0}
	if r.close == closeVersion {
		m.Supported = []int{protocolVersion}
	}
	if frame := text(m); re != 0 {
		s.respond(re, frame)
	} else {
		s.conn.send(frame)
	}
	if r.close != 0 {
		s.edge.metrics.countClose(r.close)
		s.conn.close(r.close, r.text)
	}
}

// countClose counts a close that the edge began; the codes are those of docs/wire.md, so they are bounded.
func (m *metrics) countClose(code int) {
	m.closed.Add(context.Background(), 1, metric.WithAttributes(attribute.Int("code", code)))
}
