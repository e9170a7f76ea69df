package edge

import (
	"bufio"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"

	"airloom/internal/problem"
)

const sendBuffer = 128 << 10 // kernel bytes: what is in there is stale sound that nobody can take back

var writeBuffers sync.Pool // gorilla's, for the handshake; after it gorilla writes nothing

// Socket is the handler of GET /v1/ws: the WebSocket handshake (RFC 6455 §4.2) and then the socket's life.
// allowed tells whether the request's Origin may open a socket.
func (e *Edge) Socket(allowed func(*http.Request) bool) http.Handler {
	upgrader := &websocket.Upgrader{
		ReadBufferSize: 1024, WriteBufferSize: 1024, WriteBufferPool: &writeBuffers,
		CheckOrigin: func(*http.Request) bool { return true }, // checked below, with an answer in words
		Error:       func(http.ResponseWriter, *http.Request, int, error) {},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.metrics.handshakes.Add(1)
		if p := e.refuseHandshake(w, r, allowed); p != nil {
			e.metrics.refused.Add(1)
			problem.Write(w, p)
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
			ws.Close()
		}
	})
}

// refuseHandshake answers what gorilla would answer otherwise than the RFC or this edge's state asks for.
func (e *Edge) refuseHandshake(w http.ResponseWriter, r *http.Request, allowed func(*http.Request) bool) *problem.Problem {
	switch {
	case !headerHas(r.Header, "Connection", "upgrade") || !headerHas(r.Header, "Upgrade", "websocket"):
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return problem.New(http.StatusUpgradeRequired, "upgrade_required", "This address speaks WebSocket only: open it with a WebSocket, as docs/wire.md says.")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		w.Header().Set("Sec-WebSocket-Version", "13")
		return problem.New(http.StatusUpgradeRequired, "websocket_version", "This edge speaks WebSocket version 13 (RFC 6455).")
	case !validKey(r.Header.Values("Sec-WebSocket-Key")):
		return problem.New(http.StatusBadRequest, "websocket_key", "Sec-WebSocket-Key must be there once, 16 bytes in base64.")
	case !allowed(r):
		return problem.New(http.StatusForbidden, "origin", "Pages of this origin may not open sockets here.")
	case e.draining.Load():
		w.Header().Set("Retry-After", "1")
		return problem.New(http.StatusServiceUnavailable, "draining", "This edge is going away: another one serves you.")
	case !e.handshakes.Allow():
		w.Header().Set("Retry-After", "2")
		return problem.New(http.StatusServiceUnavailable, "busy", "Too many sockets at once: try again in two seconds.")
	}
	return nil
}

func headerHas(h http.Header, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func validKey(values []string) bool {
	if len(values) != 1 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(values[0])
	return err == nil && len(key) == 16
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
