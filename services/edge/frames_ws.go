package edge

import "encoding/binary"

// WebSocket opcodes (RFC 6455 §5.2).
const (
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xA
)

// appendMessage appends an unmasked, unfragmented WebSocket frame (RFC 6455 §5.2): what a server sends.
func appendMessage(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
	return append(dst, payload...)
}

func message(opcode byte, payload []byte) []byte {
	return appendMessage(make([]byte, 0, len(payload)+10), opcode, payload)
}

// closeMessage is a close frame; a reason longer than the 123 bytes that fit is cut.
func closeMessage(code int, reason string) []byte {
	if len(reason) > 123 {
		reason = reason[:123]
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code))
	return message(opClose, append(payload, reason...))
}
