package edge

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

const (
	readBuffer       = 1 << 10 // a speaker's message is some hundred bytes
	maxPacketMessage = 8 << 10
	maxControlText   = 64 << 10
	maxHelloText     = 8 << 10
	maxFragments     = 16
)

// violation is what ends a socket because of what its peer sent: the close code and words for it.
type violation struct {
	code int
	text string
}

func (v *violation) Error() string { return fmt.Sprintf("%d: %s", v.code, v.text) }

// peerClosed is a peer's close frame; code is 1005 where it gave none.
type peerClosed struct{ code int }

func (c *peerClosed) Error() string { return fmt.Sprintf("closed by the peer with %d", c.code) }

const noCode = 1005

// framesIn reads a participant's messages out of WebSocket frames (RFC 6455 §5), and answers what the RFC forbids with the
// code it names. It allocates nothing for a message of usual length, and never by what a length field claims.
// One goroutine owns it.
type framesIn struct {
	conn    net.Conn
	r       *bufio.Reader
	within  time.Duration // a message's time from its first byte to its last
	maxText int
	ping    func(payload []byte) error
	pong    func()

	amid    atomic.Bool // a message has begun and is not whole yet: its deadline runs
	body    []byte
	control [125]byte
	scratch [14]byte
}

// frameHead is a frame's header, unmasked payload length and mask.
type frameHead struct {
	final  bool
	opcode byte
	length uint64
	mask   [4]byte
}

// next gives the next message: opText or opBinary and its payload, which is valid until the call after. Errors: *violation,
// *peerClosed, or the connection's.
func (in *framesIn) next() (opcode byte, body []byte, err error) {
	defer in.over()
	if cap(in.body) > maxPacketMessage {
		in.body = nil // a long control message is rare: don't hold its memory
	}
	in.body = in.body[:0]
	for fragments := 0; ; {
		head, err := in.head(fragments > 0)
		if err != nil {
			return 0, nil, err
		}
		if head.opcode >= opClose {
			if err := in.takeControl(head); err != nil {
				return 0, nil, err
			}
			continue
		}
		switch {
		case head.opcode == opContinuation && fragments == 0:
			return 0, nil, &violation{closeProtocol, "a continuation of nothing"}
		case head.opcode != opContinuation && fragments > 0:
			return 0, nil, &violation{closeProtocol, "a message inside another one"}
		case head.opcode != opContinuation:
			opcode = head.opcode
		}
		if fragments++; fragments > maxFragments {
			return 0, nil, &violation{closePolicy, "too many fragments"}
		}
		if err := in.payload(head, opcode); err != nil {
			return 0, nil, err
		}
		if !head.final {
			continue
		}
		if opcode == opText && !utf8.Valid(in.body) {
			return 0, nil, &violation{closeBadText, "text is not UTF-8"}
		}
		return opcode, in.body, nil
	}
}

// head reads a frame's header. Before a message it waits for as long as it takes; within one its deadline runs.
func (in *framesIn) head(within bool) (h frameHead, err error) {
	if !within {
		if _, err := in.r.Peek(1); err != nil {
			return h, err
		}
	}
	b := in.scratch[:2]
	if err := in.read(b); err != nil {
		return h, err
	}
	h.final, h.opcode = b[0]&0x80 != 0, b[0]&0x0F
	masked, short := b[1]&0x80 != 0, b[1]&0x7F
	switch {
	case b[0]&0x70 != 0:
		return h, &violation{closeProtocol, "reserved bits are set"}
	case h.opcode > opBinary && h.opcode < opClose, h.opcode > opPong:
		return h, &violation{closeProtocol, "reserved opcode"}
	case !masked:
		return h, &violation{closeProtocol, "frame without a mask"}
	case h.opcode >= opClose && (!h.final || short > 125):
		return h, &violation{closeProtocol, "control frame in fragments or too long"}
	}
	return h, in.lengthAndMask(&h, short)
}

func (in *framesIn) lengthAndMask(h *frameHead, short byte) error {
	more := 0
	switch short {
	case 126:
		more = 2
	case 127:
		more = 8
	}
	b := in.scratch[:more+4]
	if err := in.read(b); err != nil {
		return err
	}
	switch more {
	case 0:
		h.length = uint64(short)
	case 2:
		h.length = uint64(binary.BigEndian.Uint16(b))
	case 8:
		h.length = binary.BigEndian.Uint64(b)
	}
	copy(h.mask[:], b[more:])
	if h.length>>63 != 0 {
		return &violation{closeProtocol, "length with its top bit set"}
	}
	return nil
}

// payload appends a data frame's payload to the message, as it arrives.
func (in *framesIn) payload(h frameHead, opcode byte) error {
	limit := maxPacketMessage
	if opcode == opText {
		limit = in.maxText
	}
	if h.length > uint64(limit-len(in.body)) {
		return &violation{closeTooBig, fmt.Sprintf("message longer than %d bytes", limit)}
	}
	for at, rest := 0, int(h.length); rest > 0; {
		n := min(rest, 2<<10)
		from := len(in.body)
		if need := from + n; need > cap(in.body) {
			in.body = append(make([]byte, 0, max(readBuffer, 2*cap(in.body), need)), in.body...)
		}
		in.body = in.body[:from+n]
		if err := in.read(in.body[from:]); err != nil {
			return err
		}
		unmask(in.body[from:], h.mask, at)
		at, rest = at+n, rest-n
	}
	return nil
}

// takeControl answers pings, counts pongs and ends on a close frame.
func (in *framesIn) takeControl(h frameHead) error {
	b := in.control[:h.length]
	if err := in.read(b); err != nil {
		return err
	}
	unmask(b, h.mask, 0)
	switch h.opcode {
	case opPing:
		return in.ping(b)
	case opPong:
		in.pong()
		return nil
	}
	switch {
	case len(b) == 0:
		return &peerClosed{noCode}
	case len(b) == 1 || !closeCodeAllowed(binary.BigEndian.Uint16(b)):
		return &violation{closeProtocol, "close frame with a code that nobody may send"}
	case !utf8.Valid(b[2:]):
		return &violation{closeProtocol, "close frame with words that are not UTF-8"}
	}
	return &peerClosed{int(binary.BigEndian.Uint16(b))}
}

// closeCodeAllowed tells the codes that may travel (RFC 6455 §7.4 and the registry of IANA).
func closeCodeAllowed(code uint16) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code >= 1000 && code <= 1014:
		return code < 1004 || code > 1006
	}
	return false
}

// read fills b. What is here already costs nothing; for what is not, the message's deadline begins to run.
func (in *framesIn) read(b []byte) error {
	if len(b) > in.r.Buffered() && !in.amid.Load() {
		in.amid.Store(true)
		if err := in.conn.SetReadDeadline(time.Now().Add(in.within)); err != nil {
			return err
		}
	}
	_, err := io.ReadFull(in.r, b)
	return err
}

// over stops the deadline of a message.
func (in *framesIn) over() {
	if in.amid.Swap(false) {
		_ = in.conn.SetReadDeadline(time.Time{}) // a connection that is gone shows at the next read
	}
}

// unmask is the same as masking (RFC 6455 §5.3); at is where b begins in its frame's payload, a multiple of 4.
func unmask(b []byte, mask [4]byte, at int) {
	key := binary.LittleEndian.Uint32(mask[:])
	wide := uint64(key)<<32 | uint64(key)
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^wide)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[(at+i)&3]
	}
}
