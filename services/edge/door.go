package edge

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"airloom/internal/problem"
)

const sendBuffer = 128 << 10 // kernel bytes: what is in there is stale sound that nobody can take back

var writeBuffers sync.Pool // gorilla's, for the handshake; after it gorilla writes nothing

// Socket is the handler of GET /v1/ws, once the handshake and its Origin were found good (package rest): it upgrades
// (RFC 6455 §4.2) and lives the socket's life.
func (e *Edge) Socket() http.Handler {
	upgrader := &websocket.Upgrader{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &writeBuffers,
		CheckOrigin: func(*http.Request) bool { return true },
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.metrics.handshakes.Add(1)
		if e.draining.Load() {
			e.metrics.refused.Add(1)
			w.Header().Set("Retry-After", "1")
			problem.Write(w, problem.New(http.StatusServiceUnavailable, "draining", "This edge is going away: another one serves you."))
			return
		}
		door := &doorWriter{ResponseWriter: w}
		ws, err := upgrader.Upgrade(door, r, nil)
		if err != nil {
			e.metrics.refused.Add(1)
			if door.conn == nil {
				problem.Write(w, problem.New(http.StatusBadRequest, "handshake", "This is not a valid WebSocket handshake: %v", err))
			}
			return
		}
		if err := e.serve(ws, door.conn); err != nil {
			e.logger.Error("socket could not be served", "error", err)
			_ = door.conn.Conn.Close()
		}
	})
}

// doorWriter hands gorilla a connection whose writes can be led elsewhere later.
type doorWriter struct {
	http.ResponseWriter
	conn *doorConn
}

// Hijack implements http.Hijacker.
func (w *doorWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	hijacker, ok := w.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("this connection cannot be taken over")
	}
	c, rw, err := hijacker.Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.conn = &doorConn{Conn: c}
	return w.conn, rw, nil
}

// doorConn passes writes through during the handshake. After it, whatever gorilla still writes (a close frame on a
// protocol error) is one whole frame and goes into the socket's queue, so that it never lands inside another message.
type doorConn struct {
	net.Conn
	out atomic.Pointer[conn]
}

// Write implements net.Conn.
func (c *doorConn) Write(b []byte) (int, error) {
	if out := c.out.Load(); out != nil {
		out.sendLast(append([]byte(nil), b...))
		return len(b), nil
	}
	return c.Conn.Write(b)
}
