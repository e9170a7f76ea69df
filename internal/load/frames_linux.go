package load

import (
	"encoding/binary"
	"errors"
)

const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

var errFraming = errors.New("not a WebSocket frame of a server")

// message takes the first WebSocket frame out of b (RFC 6455 section 5.2, unmasked and whole, as servers send them). Where b
// does not hold all of it, rest is b itself and opcode 0.
func message(b []byte) (opcode byte, payload, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, b, nil
	}
	head, size := 2, uint64(b[1]&0x7f)
	switch {
	case b[0]&0xf0 != 0x80 || b[1]&0x80 != 0:
		return 0, nil, b, errFraming
	case size == 126 && len(b) >= 4:
		head, size = 4, uint64(binary.BigEndian.Uint16(b[2:]))
	case size == 127 && len(b) >= 10:
		head, size = 10, binary.BigEndian.Uint64(b[2:])
	case size >= 126:
		return 0, nil, b, nil
	}
	if size > maxMessage {
		return 0, nil, b, errFraming
	}
	end := head + int(size)
	if len(b) < end {
		return 0, nil, b, nil
	}
	return b[0] & 0xf, b[head:end], b[end:], nil
}

// appendMasked appends a client's frame, masked with zeros: nothing here stands between two proxies.
func appendMasked(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	if len(payload) < 126 {
		dst = append(dst, 0x80|byte(len(payload)))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(len(payload)))
	}
	return append(append(dst, 0, 0, 0, 0), payload...)
}

// appendMessage appends a binary message as a server sends it.
func appendMessage(dst, payload []byte) []byte {
	dst = append(dst, 0x80|opBinary)
	if len(payload) < 126 {
		dst = append(dst, byte(len(payload)))
	} else {
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(len(payload)))
	}
	return append(dst, payload...)
}
