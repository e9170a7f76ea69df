package participant

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"

	"github.com/gorilla/websocket"
)

const within = 10 * time.Second

// fakeEdge speaks just enough of docs/wire.md to be told, step by step, what to do.
type fakeEdge struct {
	t       *testing.T
	server  *httptest.Server
	sockets chan *fakeSocket // that have said hello
	tokens  int
	mu      sync.Mutex
}

// fakeSocket is one socket as the edge sees it.
type fakeSocket struct {
	t     *testing.T
	ws    *websocket.Conn
	hello map[string]any
	texts chan map[string]any // requests but pings
	audio chan []byte
	gone  chan struct{}
}

func newFakeEdge(t *testing.T) *fakeEdge {
	e := &fakeEdge{t: t, sockets: make(chan *fakeSocket, 16)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/tokens", e.token)
	mux.HandleFunc("GET /v1/ws", e.socket)
	e.server = httptest.NewServer(mux)
	t.Cleanup(e.server.Close)
	return e
}

func (e *fakeEdge) token(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	e.tokens++
	n := e.tokens
	e.mu.Unlock()
	fmt.Fprintf(w, `{"token":"token-%d","identity":"ada","expires_unix":%d}`, n, time.Now().Add(time.Hour).Unix())
}

func (e *fakeEdge) socket(w http.ResponseWriter, r *http.Request) {
	upgrader := websocket.Upgrader{}
	ws, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer ws.Close()
	s := &fakeSocket{t: e.t, ws: ws, texts: make(chan map[string]any, 1000), audio: make(chan []byte, 10000), gone: make(chan struct{})}
	defer close(s.gone)
	if ws.ReadJSON(&s.hello) != nil {
		return
	}
	e.sockets <- s
	for {
		kind, b, err := ws.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage {
			s.audio <- b
			continue
		}
		var m map[string]any
		if json.Unmarshal(b, &m) == nil && m["type"] != "ping" {
			s.texts <- m
		}
	}
}

// accept waits for the next socket's hello.
func (e *fakeEdge) accept() *fakeSocket {
	e.t.Helper()
	return wait(e.t, e.sockets, "a socket")
}

func wait[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(within):
		t.Fatalf("%s did not come", what)
	}
	return v
}

type object = map[string]any

func (s *fakeSocket) say(v any) {
	s.t.Helper()
	if err := s.ws.WriteJSON(v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSocket) send(packet []byte) {
	s.t.Helper()
	if err := s.ws.WriteMessage(websocket.BinaryMessage, packet); err != nil {
		s.t.Fatal(err)
	}
}

func (s *fakeSocket) close(code int) {
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, "words"), time.Now().Add(time.Second))
	_ = s.ws.Close()
}

// welcome answers the hello; more overrides fields.
func (s *fakeSocket) welcome(more object) {
	s.t.Helper()
	m := object{
		"type": "welcome", "re": s.hello["id"], "protocol": 1, "session": "sess", "identity": "ada", "name": "Ada",
		"resume": "secret", "resumed": false, "grants": object{"listen": true, "speak": true}, "expires_unix": time.Now().Add(time.Hour).Unix(),
		"edge": "edge-1", "region": "r1", "room": object{"room": "hall", "keep": "record"},
		"roster": object{"type": "roster", "full": true, "participants": []any{}, "gone": []any{}}, "tracks": []any{},
	}
	for k, v := range more {
		m[k] = v
	}
	s.say(m)
}

// request waits for a request of a type.
func (s *fakeSocket) request(kind string) object {
	s.t.Helper()
	m := wait(s.t, s.texts, kind)
	if m["type"] != kind {
		s.t.Fatalf("got %v, want %s", m, kind)
	}
	return m
}

const handle = 0x01020304

var trackName = frame.TrackID(handle)

// startTrack answers a track.start.
func (s *fakeSocket) startTrack() {
	s.t.Helper()
	s.say(object{"type": "track", "re": s.request("track.start")["id"], "track": trackName, "handle": handle, "epoch": 0})
}

func (s *fakeSocket) ack(seq int) {
	s.say(object{"type": "ack", "track": trackName, "epoch": 0, "seq": seq})
}

// collect takes packets into the sink until it has everything up to last.
func (s *fakeSocket) collect(into *sink, last int64) {
	s.t.Helper()
	for into.have.Through(0) < last {
		into.take(s.t, wait(s.t, s.audio, fmt.Sprintf("a packet (have up to %d of %d)", into.have.Through(0), last)))
	}
}

func newSink() *sink { return &sink{frames: map[uint32][]byte{}, lastLiv: -1} }

func joinFake(t *testing.T, e *fakeEdge, cfg Config) (*Participant, *fakeSocket) {
	t.Helper()
	cfg.Room = "hall"
	if cfg.URL == "" {
		cfg.URL = e.server.URL
	}
	type outcome struct {
		p   *Participant
		err error
	}
	joined := make(chan outcome, 1)
	go func() {
		p, err := Join(t.Context(), cfg)
		joined <- outcome{p, err}
	}()
	s := e.accept()
	s.welcome(nil)
	got := wait(t, joined, "the join")
	if got.err != nil {
		t.Fatal(got.err)
	}
	t.Cleanup(got.p.Close)
	return got.p, s
}

func speak(t *testing.T, p *Participant, s *fakeSocket, cfg TrackConfig) *Speaker {
	t.Helper()
	cfg.Name, cfg.Channels, cfg.FrameMS = "mic", 1, 10
	started := make(chan *Speaker, 1)
	go func() {
		speaker, err := p.StartTrack(t.Context(), cfg)
		if err != nil {
			t.Error(err)
		}
		started <- speaker
	}()
	s.startTrack()
	return wait(t, started, "the track")
}

func sendFrames(t *testing.T, s *Speaker, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := s.Send(t.Context(), opusFrame(n), false); err != nil {
			t.Fatal(err)
		}
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(time.Millisecond)
	}
}

func rosterOf(clock *room.Clock) object {
	return object{"type": "roster", "position": 5, "full": false, "gone": []any{}, "participants": []any{object{
		"session": "other", "identity": "bob", "name": "Bob",
		"tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "channels": 1, "frame_ms": 10, "clock": clock}},
	}}}
}
