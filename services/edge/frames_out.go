package edge

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// WebSocket opcodes (RFC 6455 §5.2).
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
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

// closeMessage is a close frame; a reason longer than the 123 bytes that fit is cut before a code point.
func closeMessage(code int, reason string) []byte {
	reason = strings.ToValidUTF8(reason, "\uFFFD")
	if len(reason) > 123 {
		cut := 123
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), uint16(code))
	return message(opClose, append(payload, reason...))
}
