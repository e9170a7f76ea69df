package edge

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"airloom/internal/problem"
)

const (
	sendBuffer      = 128 << 10 // kernel bytes: what is in there is stale sound that nobody can take back
	handshakeWithin = 5 * time.Second
)

// handshakeBuffers are gorilla's, which writes nothing after the handshake.
var handshakeBuffers sync.Pool

// Socket is the handler of GET /v1/ws, once the handshake and its Origin were found good (package rest): it upgrades
// (RFC 6455 §4.2.2) and lives the socket's life. No extension and no subprotocol is ever agreed to.
func (e *Edge) Socket() http.Handler {
	upgrader := &websocket.Upgrader{
		HandshakeTimeout: handshakeWithin, ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: &handshakeBuffers,
		CheckOrigin: func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, _ *http.Request, status int, why error) {
			problem.Write(w, problem.New(status, "bad_handshake", "%v", why))
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.metrics.handshakes.Add(1)
		if e.draining.Load() {
			e.metrics.refused.Add(1)
			problem.Write(w, problem.New(http.StatusServiceUnavailable, "draining", "This edge is going away: another one serves you.").With("Retry-After", "1"))
			return
		}
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			e.metrics.refused.Add(1)
			return
		}
		if err := e.serve(ws.NetConn()); err != nil {
			e.metrics.refused.Add(1)
			e.logger.Debug("socket could not be served", "error", err)
			_ = ws.NetConn().Close() // nothing can be said any more
		}
	})
}

// serve takes an upgraded connection over from gorilla and starts the socket's reading goroutine.
func (e *Edge) serve(c net.Conn) error {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return fmt.Errorf("serve socket: %T is not a TCP connection", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return fmt.Errorf("serve socket: %w", err)
	}
	if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
		return fmt.Errorf("serve socket: %w", err)
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
