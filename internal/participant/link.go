package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	handshakeWithin = 10 * time.Second
	welcomeWithin   = 10 * time.Second
	writeWithin     = 5 * time.Second
	readLimit       = 64 << 10
)

// writeBuffers are shared by all sockets of the process: hundreds of listeners write next to nothing.
var writeBuffers sync.Pool

// link is one socket. Any goroutine may write; one reads.
type link struct {
	ws      *websocket.Conn
	heard   atomic.Int64 // when something last arrived, ns since 1970
	dead    atomic.Bool  // given up for being silent
	writing sync.Mutex
}

// dial opens a socket. What comes back where the far side answers but is no edge, or refuses, is a Problem.
func dial(ctx context.Context, target string, patience time.Duration) (*link, error) {
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: patience,
		ReadBufferSize: 8 << 10, WriteBufferSize: 8 << 10, WriteBufferPool: &writeBuffers,
	}
	ws, answer, err := dialer.DialContext(ctx, target, nil)
	if errors.Is(err, websocket.ErrBadHandshake) && answer != nil {
		return nil, fmt.Errorf("open a socket: %w", ReadProblem(answer))
	}
	if err != nil {
		return nil, fmt.Errorf("open a socket: %w", Unwrapped(err))
	}
	ws.SetReadLimit(readLimit)
	l := &link{ws: ws}
	l.touch()
	ping := ws.PingHandler()
	ws.SetPingHandler(func(data string) error { l.touch(); return ping(data) })
	return l, nil
}

func (l *link) touch() { l.heard.Store(time.Now().UnixNano()) }

// silentFor is how long nothing has been heard.
func (l *link) silentFor() time.Duration {
	return time.Duration(time.Now().UnixNano() - l.heard.Load())
}

var errSilent = errors.New("nothing was heard from the edge for too long")

// giveUp closes a socket that has been silent for too long; the reader sees it and says why.
func (l *link) giveUp() {
	l.dead.Store(true)
	_ = l.ws.Close()
}

func (l *link) write(kind int, b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.ws.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return fmt.Errorf("set write deadline: %w", err)
	}
	return l.ws.WriteMessage(kind, b)
}

func (l *link) writeJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	return l.write(websocket.TextMessage, b)
}

// next reads one message into buf, which grows as needed up to the read limit.
func (l *link) next(buf []byte) (kind int, message []byte, err error) {
	kind, r, err := l.ws.NextReader()
	if err != nil {
		return 0, buf, err
	}
	buf = buf[:0]
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) {
			l.touch()
			return kind, buf, nil
		}
		if err != nil {
			return 0, buf, err
		}
	}
}

// close says goodbye with a code, without waiting for an answer.
func (l *link) close(code int) {
	goodbye := websocket.FormatCloseMessage(code, "")
	_ = l.ws.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(100*time.Millisecond)) // it may be gone already
	_ = l.ws.Close()
}

// greet says hello and waits for the welcome. An *Error comes back from an edge that refuses.
func (l *link) greet(h hello) (*inbound, error) {
	if err := l.writeJSON(h); err != nil {
		return nil, fmt.Errorf("say hello: %w", err)
	}
	if err := l.ws.SetReadDeadline(time.Now().Add(welcomeWithin)); err != nil {
		return nil, fmt.Errorf("set read deadline: %w", err)
	}
	var said *Error
	var buf []byte
	for range 64 { // what else may come before the welcome is bounded
		kind, message, err := l.next(buf)
		if err != nil {
			if refused := refusal(err, said); refused != nil {
				return nil, refused
			}
			return nil, fmt.Errorf("wait for the welcome: %w", err)
		}
		buf = message
		if kind != websocket.TextMessage {
			continue
		}
		in := &inbound{}
		if err := json.Unmarshal(message, in); err != nil {
			return nil, fmt.Errorf("decode the welcome: %w", err)
		}
		switch in.Type {
		case "welcome":
			return in, l.ws.SetReadDeadline(time.Time{})
		case "error":
			said = &Error{Code: in.Code, Message: in.Message}
			if !in.Fatal {
				return nil, said
			}
		}
	}
	return nil, errors.New("wait for the welcome: the far side does not speak airloom's protocol")
}
