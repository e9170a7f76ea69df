package load

import (
	"encoding/binary"

	"airloom/internal/frame"

	"golang.org/x/sys/unix"
)

// Unit is the duration of a frame of the bench's sound, in the wire's units of 2.5 ms: 20 ms at 50 messages a second, 100 ms
// (an Opus packet of five frames) at 10.
func Unit(perSecond int) (uint8, bool) {
	switch perSecond {
	case 50:
		return 8, true
	case 10:
		return 40, true
	}
	return 0, false
}

// stampAt is where a frame has the time at which it was sent, behind TOC and frame count byte.
const stampAt = 2

// Sound makes the next frame: a valid Opus packet (RFC 6716 section 3.2) of one size, that says when it was made.
func Sound(dst []byte, size int, unit uint8) []byte {
	const celt20 = 31 << 3 // 20 ms, fullband, mono
	dst = dst[:0]
	switch {
	case unit == 40: // code 3, constant bit rate, five frames
		size -= (size - 2) % 5
		dst = append(dst, celt20|3, 5)
	default:
		dst = append(dst, celt20, 0)
	}
	dst = binary.BigEndian.AppendUint64(dst, uint64(Now()))
	for len(dst) < size {
		dst = append(dst, byte(len(dst)*37))
	}
	return dst
}

// Now is CLOCK_MONOTONIC in ns: the same in every process of a machine.
func Now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // fails only for clocks that are not there
	return t.Nano()
}

// sentAt is when a packet's first frame was made; false where the packet has none.
func sentAt(p *frame.Packet) (ns int64, ok bool) {
	for f := range p.Frames {
		if len(f.Payload) < stampAt+8 {
			return 0, false
		}
		return int64(binary.BigEndian.Uint64(f.Payload[stampAt:])), true
	}
	return 0, false
}

// MinSize is the smallest frame that has room for its time.
const MinSize = stampAt + 8

// MaxSize is the largest frame, in bytes, that goes over the wire.
const MaxSize = frame.MaxFrame
