package edge

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"airloom/internal/problem"
)

const (
	sendBuffer      = 128 << 10 // kernel bytes: what is in there is stale sound that nobody can take back
	handshakeWithin = 5 * time.Second
	handshakeGUID   = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3
)

// Socket is the handler of GET /v1/ws, once the handshake and its Origin were found good (package rest): it upgrades
// (RFC 6455 §4.2.2) and lives the socket's life. No extension and no subprotocol is ever agreed to.
func (e *Edge) Socket() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.metrics.handshakes.Add(1)
		hijacker, ok := w.(http.Hijacker)
		switch {
		case e.draining.Load():
			e.refuseHandshake(w, problem.New(http.StatusServiceUnavailable, "draining", "This edge is going away: another one serves you.").With("Retry-After", "1"))
			return
		case !ok || r.ProtoMajor != 1:
			e.refuseHandshake(w, problem.New(http.StatusBadRequest, "bad_handshake", "A WebSocket comes over HTTP/1.1."))
			return
		}
		c, buffered, err := hijacker.Hijack()
		if err != nil {
			e.refuseHandshake(w, fmt.Errorf("take a connection over: %w", err))
			return
		}
		if err := e.upgrade(c, buffered.Reader, r.Header.Get("Sec-WebSocket-Key")); err != nil {
			e.metrics.refused.Add(1)
			e.logger.Debug("socket could not be served", "error", err)
			_ = c.Close() // nothing can be said any more
		}
	})
}

func (e *Edge) refuseHandshake(w http.ResponseWriter, why error) {
	e.metrics.refused.Add(1)
	problem.Write(w, why)
}

// upgrade answers the handshake and starts the socket's reading goroutine.
func (e *Edge) upgrade(c net.Conn, early *bufio.Reader, key string) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("serve socket: %T is not a TCP connection", c)
	}
	if early.Buffered() > 0 {
		return fmt.Errorf("serve socket: %d bytes came before the handshake was answered", early.Buffered())
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("serve socket: %w", err)
	}
	if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
		return fmt.Errorf("serve socket: %w", err)
	}
	if err := answerHandshake(tcp, key); err != nil {
		return fmt.Errorf("answer handshake: %w", err)
	}
	s := &socket{
		edge: e, conn: &conn{net: tcp, raw: raw, worker: e.writers.assign()},
		pongs: rate.NewLimiter(2, 2), pings: rate.NewLimiter(50, 100), rate: rate.NewLimiter(5, 20),
	}
	s.in = framesIn{
		conn: tcp, r: bufio.NewReaderSize(tcp, readBuffer), within: e.limits.message, maxText: maxHelloText,
		ping: s.ping, pong: func() { s.heard.Store(nanotime()) },
	}
	s.heard.Store(nanotime())
	if !e.admitSocket(s) || !e.background(func(context.Context) { s.read() }) {
		e.forgetSocket(s)
		return fmt.Errorf("serve socket: %w", errStopped)
	}
	return nil
}

func answerHandshake(c net.Conn, key string) error {
	sum := sha1.Sum([]byte(key + handshakeGUID))
	answer := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n"
	if err := c.SetWriteDeadline(time.Now().Add(handshakeWithin)); err != nil {
		return err
	}
	if _, err := c.Write([]byte(answer)); err != nil {
		return err
	}
	return c.SetWriteDeadline(time.Time{})
}

// admitSocket counts a socket in; false: the edge is draining and nobody would tell it to move.
func (e *Edge) admitSocket(s *socket) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.Load() {
		return false
	}
	e.sockets[s] = struct{}{}
	e.metrics.sockets.Store(int64(len(e.sockets)))
	return true
}

func (e *Edge) forgetSocket(s *socket) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sockets, s)
	e.metrics.sockets.Store(int64(len(e.sockets)))
}
