package edge

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestFraming is the conformance table of the socket: what RFC 6455 allows is answered, what it forbids closes with the code
// of docs/bad-inputs.md. Every row runs on a joined session. close 0 means that the socket stays.
func TestFraming(t *testing.T) {
	const (
		fin  = 0x80
		rsv1 = 0x40
		rsv2 = 0x20
		rsv3 = 0x10
	)
	ping := `{"type":"ping","id":900,"t":7,"x":"κόσμε"}` // x is unknown: an error answer, on a message that was read whole
	ping = strings.Replace(ping, `,"x":"κόσμε"`, "", 1)
	unmasked := func(op byte, payload string) []byte { return message(op, []byte(payload)) }
	head := func(first byte, length uint64) []byte { // a frame that declares a 64-bit length
		return append(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, length), 1, 2, 3, 4)
	}
	frames := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	cut := func(n int, s string) (all [][]byte) {
		for len(s) > n {
			all, s = append(all, []byte(s[:n])), s[n:]
		}
		return append(all, []byte(s))
	}
	fragments := func(op byte, parts [][]byte) []byte {
		var b []byte
		for i, part := range parts {
			first := byte(opContinuation)
			if i == 0 {
				first = op
			}
			if i == len(parts)-1 {
				first |= fin
			}
			b = append(b, masked(first, part)...)
		}
		return b
	}
	closing := func(body []byte) []byte { return masked(fin|opClose, body) }

	type row struct {
		name  string
		input []byte
		close int
		pong  string // of a control frame that must be answered
	}
	table := []row{
		// Framing.
		{name: "text whole", input: masked(fin|opText, []byte(ping))},
		{name: "empty binary", input: masked(fin|opBinary, nil)},
		{name: "16-bit length where 7 would do", input: append([]byte{fin | opPing, 0x80 | 126, 0, 2, 0, 0, 0, 0}, "ab"...), close: 1002}, // a control frame has 7 bits
		{name: "17 unmasked text", input: unmasked(opText, ping), close: 1002},
		{name: "17 unmasked close", input: unmasked(opClose, "\x03\xe8"), close: 1002},
		{name: "28 RSV1, compressed though not agreed", input: masked(fin|rsv1|opText, []byte(ping)), close: 1002},
		{name: "18 RSV2", input: masked(fin|rsv2|opText, []byte(ping)), close: 1002},
		{name: "18 RSV3 on a ping", input: masked(fin|rsv3|opPing, nil), close: 1002},
		{name: "18 RSV on a continuation", input: frames(masked(opText, []byte(ping[:5])), masked(fin|rsv1|opContinuation, []byte(ping[5:]))), close: 1002},
		// Lengths.
		{name: "21 64-bit length with its top bit set", input: head(fin|opBinary, 1<<63|5), close: 1002},
		{name: "21 64-bit length of all ones", input: head(fin|opText, 1<<64-1), close: 1002},
		{name: "29 64-bit length of 2⁶²", input: head(fin|opText, 1<<62), close: 1009},
		{name: "29 binary of 8 KiB and a byte", input: masked(fin|opBinary, make([]byte, maxPacketMessage+1)), close: 1009},
		{name: "29 text of 64 KiB and a byte", input: masked(fin|opText, make([]byte, maxControlText+1)), close: 1009},
		{name: "29 binary over the limit in fragments", input: fragments(opBinary, [][]byte{make([]byte, 5000), make([]byte, 5000)}), close: 1009},
		// Control frames.
		{name: "ping with 125 bytes", input: masked(fin|opPing, bytes.Repeat([]byte("p"), 125)), pong: strings.Repeat("p", 125)},
		{name: "ping empty", input: masked(fin|opPing, nil), pong: ""},
		{name: "pong unasked", input: masked(fin|opPong, []byte("hm"))},
		{name: "19 ping with 126 bytes", input: masked(fin|opPing, make([]byte, 126)), close: 1002},
		{name: "19 ping in fragments", input: masked(opPing, []byte("a")), close: 1002},
		{name: "19 close in fragments", input: masked(opClose, []byte("\x03\xe8")), close: 1002},
		// Fragments.
		{name: "text in 16 fragments", input: fragments(opText, cut(len(ping)/15, ping)[:]), close: 0},
		{name: "ping between fragments", input: frames(masked(opText, []byte(ping[:5])), masked(fin|opPing, []byte("mid")), masked(fin|opContinuation, []byte(ping[5:]))), pong: "mid"},
		{name: "empty fragments", input: frames(masked(opText, nil), masked(opContinuation, []byte(ping)), masked(fin|opContinuation, nil))},
		{name: "20 continuation of nothing", input: masked(fin|opContinuation, []byte("x")), close: 1002},
		{name: "20 continuation of nothing, unfinished", input: masked(opContinuation, []byte("x")), close: 1002},
		{name: "20 a message inside another", input: frames(masked(opText, []byte(ping[:5])), masked(fin|opText, []byte(ping))), close: 1002},
		{name: "20 a second continuation after the end", input: frames(fragments(opText, cut(20, ping)), masked(fin|opContinuation, nil)), close: 1002},
		{name: "23 seventeen fragments", input: fragments(opBinary, cut(1, strings.Repeat("x", 17))), close: 1008},
		{name: "23 endless empty fragments", input: frames(masked(opBinary, nil), bytes.Repeat(masked(opContinuation, nil), 500)), close: 1008},
		// UTF-8.
		{name: "UTF-8 split in a code point", input: fragments(opText, cut(3, `{"type":"κόσμε"}`))}, // no id: a strike, not a close
		{name: "24 text is not UTF-8", input: masked(fin|opText, []byte("{\"type\":\"\xff\"}")), close: 1007},
		{name: "24 code point cut off at the end", input: masked(fin|opText, []byte("{\"type\":\"\xce")), close: 1007},
		{name: "24 surrogate", input: masked(fin|opText, []byte("\xed\xa0\x80")), close: 1007},
		{name: "24 overlong", input: masked(fin|opText, []byte("\xc0\xaf")), close: 1007},
		{name: "24 above U+10FFFF", input: masked(fin|opText, []byte("\xf4\x90\x80\x80")), close: 1007},
		{name: "24 broken over fragments", input: frames(masked(opText, []byte("\xce")), masked(fin|opContinuation, []byte("x"))), close: 1007},
		// Close.
		{name: "close without a code", input: closing(nil), close: 1000},
		{name: "close with words", input: closing(closeBody(1000, "au revoir · ‰")), close: 1000},
		{name: "25 close with a body of one byte", input: closing([]byte{3}), close: 1002},
		{name: "25 close with words that are not UTF-8", input: closing(closeBody(1000, "\xff")), close: 1002},
		{name: "27 data after close", input: frames(closing(closeBody(1000, "")), masked(fin|opText, []byte(ping)), make([]byte, 64<<10)), close: 1000},
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		table = append(table, row{name: fmt.Sprintf("18 opcode %X", op), input: masked(fin|op, []byte("x")), close: 1002})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		table = append(table, row{name: fmt.Sprintf("25 close with %d", code), input: closing(closeBody(code, "")), close: 1002})
	}
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		table = append(table, row{name: fmt.Sprintf("close with %d", code), input: closing(closeBody(code, "")), close: code})
	}

	h := newHouse(t)
	d := h.edge(nil)
	for i, c := range table {
		t.Run(c.name, func(t *testing.T) {
			p, _ := d.join("frames", fmt.Sprintf("peer-%d", i), nil)
			p.t = t
			p.c.Write(c.input)
			if c.close != 0 {
				p.endsWith(c.close)
				return
			}
			if strings.Contains(c.name, "ping") {
				until(t, "pong", func() bool {
					p.mu.Lock()
					defer p.mu.Unlock()
					return len(p.pongs) == 1 && p.pongs[0] == c.pong
				})
			}
			if bytes.Contains(c.input, masked(fin|opText, []byte(ping))) || strings.HasPrefix(c.name, "text in") {
				p.find("pong message", func(m *inMessage) bool { return m.Type == "pong" && m.Re == 900 && m.T == 7 })
			}
			p.stays()
		})
	}
}

// A message arrives byte by byte, and whole messages together.
func TestFramingInAnyPieces(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, _ := d.join("pieces", "a", nil)
	for _, b := range masked(0x80|opText, []byte(`{"type":"ping","id":800,"t":1}`)) {
		p.write([]byte{b})
	}
	two := append(masked(0x80|opText, []byte(`{"type":"ping","id":801,"t":1}`)), masked(0x80|opText, []byte(`{"type":"ping","id":802,"t":1}`))...)
	p.write(two)
	for id := int64(800); id <= 802; id++ {
		p.find("pong", func(m *inMessage) bool { return m.Re == id })
	}
}

func TestRow22MessageThatNeverEnds(t *testing.T) {
	d := newHouse(t).edge(func(e *Edge) {
		e.limits.message, e.limits.dead, e.limits.ping = 50*time.Millisecond, time.Hour, time.Hour
	})
	t.Run("in its payload", func(t *testing.T) {
		p, _ := d.join("slow", "a", nil)
		p.write(masked(0x80|opBinary, make([]byte, 8000))[:100])
		p.endsWith(1008)
	})
	t.Run("in its header", func(t *testing.T) {
		p, _ := d.join("slow", "b", nil)
		p.write([]byte{0x80 | opBinary})
		p.endsWith(1008)
	})
	t.Run("between fragments", func(t *testing.T) {
		p, _ := d.join("slow", "c", nil)
		p.write(masked(opBinary, []byte("x")))
		p.endsWith(1008)
	})
	t.Run("an idle socket has all the time", func(t *testing.T) {
		p, _ := d.join("slow", "d", nil)
		p.write(masked(0x80|opText, []byte(`{"type":"ping","id":8,"t":1}`))[:9]) // a message that took some time
		p.write(masked(0x80|opText, []byte(`{"type":"ping","id":8,"t":1}`))[9:])
		p.find("pong", func(m *inMessage) bool { return m.Re == 8 })
		watch := time.Now()
		until(t, "twice the message's time has passed", func() bool { return time.Since(watch) > 2*d.limits.message })
		p.stays()
	})
}

func TestRow26PingFlood(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, _ := d.join("flood", "a", nil)
	p.c.Write(bytes.Repeat(masked(0x80|opPing, []byte("x")), 5000))
	p.endsWith(1008)
	if n := len(p.pongs); n > 4 {
		t.Errorf("%d pongs to a flood", n)
	}
}

// Nobody answers the edge's close frame, and data goes on: it counts for nothing, and the connection is cut in time.
func TestRow27NoCloseReply(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.close = 200 * time.Millisecond })
	p := d.connect(nil)
	p.write(masked(0x80|0x3, nil))
	op, _, err := p.readFrame()
	if err != nil || op != opClose {
		t.Fatalf("opcode %d, %v", op, err)
	}
	within(t, 5*time.Second, "the edge has cut the connection", func() bool {
		_, err := p.c.Write(make([]byte, 1024))
		return err != nil
	})
	until(t, "the socket is forgotten", func() bool { return len(d.socketsNow()) == 0 })
}

// A peer that half-closes after its close frame still gets the answer.
func TestCloseIsAnsweredToAHalfClosedPeer(t *testing.T) {
	d := newHouse(t).edge(nil)
	p := d.connect(nil)
	p.sendClose(1000)
	if err := p.c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	op, body, err := p.readFrame()
	if err != nil || op != opClose || !bytes.Equal(body, closeBody(1000, "")) {
		t.Fatalf("opcode %d, body % x, %v", op, body, err)
	}
	if _, _, err := p.readFrame(); err != io.EOF {
		t.Fatalf("then %v", err)
	}
}

func FuzzFramesIn(f *testing.F) {
	f.Add(masked(0x81, []byte("hello")))
	f.Add(append(masked(0x01, []byte("he")), masked(0x80, []byte("llo"))...))
	f.Add(masked(0x88, closeBody(1000, "bye")))
	f.Add([]byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := framesIn{
			conn: quietConn{}, r: newReader(b), within: time.Second, maxText: maxHelloText,
			ping: func(p []byte) error {
				if len(p) > 125 {
					t.Fatalf("ping of %d bytes", len(p))
				}
				return nil
			},
			pong: func() {},
		}
		for {
			op, body, err := in.next()
			if err != nil {
				return
			}
			if op != opText && op != opBinary || len(body) > maxHelloText || len(body) > len(b) {
				t.Fatalf("opcode %d, %d bytes from %d", op, len(body), len(b))
			}
		}
	})
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), readBuffer) }

// quietConn has deadlines and nothing else.
type quietConn struct{ net.Conn }

func (quietConn) SetReadDeadline(time.Time) error { return nil }
