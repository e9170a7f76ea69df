package edge

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airloom/internal/room"
)

// peer is the other end of a socket, byte by byte: it may do all that a participant must not.
type peer struct {
	t  testing.TB
	c  net.Conn
	r  *bufio.Reader
	id atomic.Int64

	mu     sync.Mutex
	inbox  []*inMessage
	at     int // messages before it were taken by next
	audio  [][]byte
	pongs  []string
	pings  int
	closed int // code of the close frame; 0: none yet
	words  string
	err    error // why reading ended
	deaf   bool  // no pongs
}

// inMessage is any text message from the edge.
type inMessage struct {
	Type      string          `json:"type"`
	Re        int64           `json:"re"`
	Session   string          `json:"session"`
	Identity  string          `json:"identity"`
	Name      string          `json:"name"`
	Resume    string          `json:"resume"`
	At        string          `json:"edge"`
	Resumed   bool            `json:"resumed"`
	By        string          `json:"by"`
	Grants    room.Grants     `json:"grants"`
	Room      json.RawMessage `json:"room"`
	Roster    *rosterMessage  `json:"roster"`
	Tracks    json.RawMessage `json:"tracks"`
	Over      []string        `json:"over"`
	Track     string          `json:"track"`
	Handle    uint32          `json:"handle"`
	Epoch     uint8           `json:"epoch"`
	Seq       int64           `json:"seq"`
	Acked     int64           `json:"acked"`
	Kept      int64           `json:"kept"`
	From      fromField       `json:"from"`
	State     string          `json:"state"`
	Code      string          `json:"code"`
	Message   string          `json:"message"`
	Fatal     bool            `json:"fatal"`
	Supported []int           `json:"supported"`
	WithinMS  int64           `json:"within_ms"`
	T         float64         `json:"t"`
	after     int             // so many messages with audio
	Reason    string          `json:"reason"`
	PlayedAt  time.Time       `json:"at"`
	Window    window          `json:"window"`
	Rate      float64         `json:"rate"`
	Clamped   string          `json:"clamped"`

	Full         bool               `json:"full"`
	Participants []room.Participant `json:"participants"`
	Gone         []string           `json:"gone"`
}

// fromField is a seq, or the time that a window message has in its place.
type fromField int64

func (f *fromField) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && (b[0] == '"' || b[0] == 'n') {
		return nil
	}
	return json.Unmarshal(b, (*int64)(f))
}

// dial opens a socket and reads it.
func (d *door) dial() *peer { return d.start(d.connect(nil)) }

// connect makes the handshake on c (nil: a new connection).
func (d *door) connect(c net.Conn) *peer {
	t := d.h.t
	t.Helper()
	if c == nil {
		var err error
		if c, err = net.Dial("tcp", d.addr); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	p := &peer{t: t, c: c, r: bufio.NewReader(c)}
	p.write([]byte("GET /v1/ws HTTP/1.1\r\nHost: " + d.addr + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
	answer, err := http.ReadResponse(p.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" ||
		answer.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Fatalf("handshake: %s %v", answer.Status, answer.Header)
	}
	return p
}

// start reads all that comes, on a goroutine that ends with the connection.
func (d *door) start(p *peer) *peer {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p.readOne() {
		}
	}()
	p.t.Cleanup(func() {
		p.c.Close()
		<-done
	})
	return p
}

func (p *peer) readOne() bool {
	op, body, err := p.readFrame()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.err = err
		p.c.Close()
		return false
	case p.closed != 0:
		p.err = fmt.Errorf("opcode %d after the close frame", op)
		return false
	}
	switch op {
	case opText:
		m := new(inMessage)
		if err := json.Unmarshal(body, m); err != nil {
			p.err = fmt.Errorf("text %q: %w", body, err)
			return false
		}
		m.after = len(p.audio)
		p.inbox = append(p.inbox, m)
	case opBinary:
		p.audio = append(p.audio, body)
	case opPing:
		p.pings++
		if !p.deaf {
			p.c.Write(masked(0x80|opPong, body)) // a connection that is gone shows at the next read
		}
	case opPong:
		p.pongs = append(p.pongs, string(body))
	case opClose:
		p.closed = noCode
		if len(body) >= 2 {
			p.closed, p.words = int(binary.BigEndian.Uint16(body)), string(body[2:])
		}
	}
	return true
}

// readFrame reads a frame as a server sends it: whole and unmasked.
func (p *peer) readFrame() (op byte, body []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&0xF0 != 0x80 || head[1]&0x80 != 0 {
		return 0, nil, fmt.Errorf("the edge sent a frame that begins % x", head)
	}
	n := uint64(head[1])
	switch n {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(p.r, b[:])
		n = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(p.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	if n > 4<<20 {
		return 0, nil, fmt.Errorf("the edge sent a frame of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(p.r, body)
	return head[0] & 0x0F, body, err
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.c.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// masked is a frame as a participant sends it; first holds FIN, RSV and opcode.
func masked(first byte, payload []byte) []byte {
	b := appendMessage(nil, 0, payload)
	head := len(b) - len(payload)
	b[0] = first
	b[1] |= 0x80
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	out := append(append([]byte(nil), b[:head]...), mask[:]...)
	for i, c := range payload {
		out = append(out, c^mask[i%4])
	}
	return out
}

func (p *peer) sendText(s string)  { p.t.Helper(); p.write(masked(0x80|opText, []byte(s))) }
func (p *peer) sendAudio(b []byte) { p.t.Helper(); p.write(masked(0x80|opBinary, b)) }
func (p *peer) tryAudio(b []byte)  { p.c.Write(masked(0x80|opBinary, b)) } // the edge may have closed
func (p *peer) sendPing(b string)  { p.t.Helper(); p.write(masked(0x80|opPing, []byte(b))) }
func (p *peer) sendClose(code int) { p.t.Helper(); p.write(masked(0x80|opClose, closeBody(code, ""))) }
func closeBody(code int, words string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), words...)
}

// fields of a request, beside type and id.
type fields map[string]any

// request sends one and gives its id.
func (p *peer) request(kind string, f fields) int64 {
	p.t.Helper()
	id := p.id.Add(1)
	p.requestAs(id, kind, f)
	return id
}

func (p *peer) requestAs(id int64, kind string, f fields) {
	p.t.Helper()
	all := fields{"type": kind, "id": id}
	for k, v := range f {
		all[k] = v
	}
	b, err := json.Marshal(all)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sendText(string(b))
}

// ask sends a request and waits for its answer.
func (p *peer) ask(kind string, f fields) *inMessage {
	p.t.Helper()
	id := p.request(kind, f)
	return p.find("an answer to "+kind, func(m *inMessage) bool { return m.Re == id })
}

// must is ask where the answer has to be of that type.
func (p *peer) must(answer, kind string, f fields) *inMessage {
	p.t.Helper()
	m := p.ask(kind, f)
	if m.Type != answer {
		p.t.Fatalf("%s is answered with %+v", kind, *m)
	}
	return m
}

// refused is ask where the answer has to be an error of that code.
func (p *peer) refused(code, kind string, f fields) *inMessage {
	p.t.Helper()
	m := p.ask(kind, f)
	if m.Type != "error" || m.Code != code {
		p.t.Fatalf("%s is answered with %+v, not error %s", kind, *m, code)
	}
	return m
}

// find waits for a message among all that came.
func (p *peer) find(what string, met func(*inMessage) bool) (found *inMessage) {
	p.t.Helper()
	var seen int
	until(p.t, p.name(what), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for ; seen < len(p.inbox); seen++ {
			if m := p.inbox[seen]; met(m) {
				found = m
				return true
			}
		}
		if p.err != nil {
			p.t.Fatalf("waiting for %s: closed with %d %q: %v; had %s", what, p.closed, p.words, p.err, p.summary())
		}
		return false
	})
	return found
}

func (p *peer) name(what string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return what + " (had " + p.summary() + ")"
}

func (p *peer) summary() string {
	var b strings.Builder
	for _, m := range p.inbox {
		fmt.Fprintf(&b, "%s%s ", m.Type, m.Code)
	}
	return b.String()
}

// findType waits for a message of a type.
func (p *peer) findType(kind string) *inMessage {
	p.t.Helper()
	return p.find(kind, func(m *inMessage) bool { return m.Type == kind })
}

// count of messages so far that meet a condition.
func (p *peer) count(met func(*inMessage) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.inbox {
		if met(m) {
			n++
		}
	}
	return n
}

// acked is the highest ack of an epoch, -1 before the first.
func (p *peer) acked(track string, epoch uint8) int64 {
	high := int64(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.inbox {
		if m.Type == "ack" && m.Track == track && m.Epoch == epoch {
			high = max(high, m.Seq)
		}
	}
	return high
}

func (p *peer) waitAck(track string, epoch uint8, seq int64) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("ack %d of %s", seq, track), func() bool { return p.acked(track, epoch) >= seq })
}

// ends waits for the connection's end and gives the close code, 0 where no close frame came.
func (p *peer) ends() int {
	p.t.Helper()
	p.over("the connection's end")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil && !errors.Is(p.err, io.EOF) && p.closed != 0 {
		p.t.Fatalf("after close %d: %v", p.closed, p.err)
	}
	return p.closed
}

func (p *peer) over(what string) {
	p.t.Helper()
	until(p.t, p.name(what), func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.err != nil
	})
}

// endsWith waits for a close frame with that code, followed by nothing but the end.
func (p *peer) endsWith(code int) {
	p.t.Helper()
	if got := p.ends(); got != code {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Fatalf("closed with %d %q (%v), want %d; had %s", got, p.words, p.err, code, p.summary())
	}
}

// stays makes sure that the session's socket is there after all that was sent before.
func (p *peer) stays() {
	p.t.Helper()
	p.must("pong", "ping", fields{"t": 1})
}

// packets that were heard so far.
func (p *peer) heard() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([][]byte(nil), p.audio...)
}

// hello says it and waits for the welcome.
func (p *peer) hello(name, token string, f fields) *inMessage {
	p.t.Helper()
	return p.must("welcome", "hello", helloFields(name, token, f))
}

func helloFields(name, token string, f fields) fields {
	all := fields{"protocol": 1, "room": name, "token": token, "listen": true}
	for k, v := range f {
		all[k] = v
	}
	return all
}

// join opens a socket for an identity.
func (d *door) join(name, identity string, f fields) (*peer, *inMessage) {
	d.h.t.Helper()
	p := d.dial()
	return p, p.hello(name, d.h.token(identity, nil), f)
}

// track starts one of 20 ms mono.
func (p *peer) track() *inMessage {
	p.t.Helper()
	return p.must("track", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
}
