// Package frame owns audio as it travels: the packet codec of docs/wire.md section 1, what an Opus TOC says about
// a frame, track ids, sets of seqs and the digest that tells whether two ends hold the same frames.
//
// It never does I/O, reads no clock, starts no goroutine, logs nothing and alters no Opus byte. What it parses
// aliases its input; what lies on the path of every frame allocates nothing.
package frame

import (
	"encoding/base32"
	"encoding/binary"
)

const (
	// SampleRate is the rate of every timestamp, in samples per second, whatever the audio's own bandwidth.
	SampleRate = 48000
	// UnitSamples is the wire's unit of duration, 2.5 ms, in samples.
	UnitSamples = 120
	// MaxUnits is the longest frame, 120 ms, in units (RFC 6716 §3.4, R5).
	MaxUnits = 48
	// MinFrame and MaxFrame bound a frame's length in bytes.
	MinFrame = 2
	MaxFrame = 1275
	// MaxFrames is the most frames in one packet.
	MaxFrames = 255
	// HeaderSize is the length of the fixed header in bytes; TraceSize that of the trace context after it.
	HeaderSize = 14
	TraceSize  = 24
	// MaxSeq is the last seq of an epoch: seqs never wrap.
	MaxSeq = 1<<32 - 1

	version = 1
)

// Kind says what a packet carries.
type Kind uint8

// The kinds of packet; every other value is refused.
const (
	Audio Kind = iota
	Silence
)

// Flags are the low four bits of a packet's first byte.
type Flags uint8

// The flags of docs/wire.md.
const (
	Voice   Flags = 1 << iota // the speaker's voice detector hears somebody in one of these frames
	Backlog                   // sent again or late: to the log only
	Traced                    // a trace context follows the header
	Pack                      // a count byte follows

	allFlags = Voice | Backlog | Traced | Pack
)

// Trace is a W3C trace context as binary ids.
type Trace struct {
	TraceID [16]byte
	SpanID  [8]byte
}

// Header is what every packet begins with.
type Header struct {
	Flags     Flags
	Handle    uint32 // of the track, never 0
	Epoch     uint8
	Seq       uint32 // of the first frame
	Timestamp uint32 // of the first frame's first sample, in 48 kHz samples; wraps
	Trace     Trace  // valid when Flags has Traced
}

// Packet is a parsed packet. Its slices alias the bytes it was parsed from.
type Packet struct {
	Header
	Kind Kind
	Span uint16 // seqs covered: audio frames (1–255) or declared silence (1–65535)
	Unit uint8  // duration of each seq in units of 2.5 ms (1–48), the same throughout a packet

	raw, lengths, payload []byte
}

// Frame is one frame of a packet. Payload is the Opus packet and aliases the packet's bytes.
type Frame struct {
	Seq       uint32
	Timestamp uint32
	Payload   []byte
}

// Count is the number of seqs the packet covers, at least 1.
func (p *Packet) Count() int { return int(p.Span) }

// Last is the last seq the packet covers.
func (p *Packet) Last() uint32 { return p.Seq + uint32(p.Span) - 1 }

// FrameSamples is the duration of each seq in 48 kHz samples.
func (p *Packet) FrameSamples() int { return int(p.Unit) * UnitSamples }

// Raw returns the packet's own bytes, without what follows it in the message.
func (p *Packet) Raw() []byte { return p.raw }

// Frames yields the frames in seq order; a silence packet has none. Use it as `for f := range p.Frames`.
func (p *Packet) Frames(yield func(Frame) bool) {
	f := Frame{Seq: p.Seq, Timestamp: p.Timestamp}
	step := uint32(p.FrameSamples())
	lengths, payload := p.lengths, p.payload
	for len(lengths) > 0 {
		n, size := readLength(lengths)
		lengths = lengths[size:]
		f.Payload, payload = payload[:n:n], payload[n:]
		if !yield(f) {
			return
		}
		f.Seq++
		f.Timestamp += step
	}
}

// Elapsed is the signed distance from one timestamp to another in samples, across the wrap: it is right as long as
// they lie less than 2³¹ samples (12 h) apart.
func Elapsed(from, to uint32) int { return int(int32(to - from)) }

// Timeline turns timestamps, which wrap, into samples since the first of them. It is right as long as each lies less than
// 12 h from the one before. The zero value is ready.
type Timeline struct {
	last  uint32
	at    int64
	begun bool
}

// At is how many samples after the first timestamp this one is; less than 0 if it is earlier.
func (t *Timeline) At(timestamp uint32) int64 {
	if t.begun {
		t.at += int64(Elapsed(t.last, timestamp))
	}
	t.last, t.begun = timestamp, true
	return t.at
}

var trackIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// TrackID is the id of the track that a handle stands for: 7 characters of lower-case base32 (RFC 4648 §6).
func TrackID(handle uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], handle)
	return trackIDs.EncodeToString(b[:])
}

// ParseTrackID is the inverse of TrackID. It takes only what TrackID gives for a handle other than 0, so that a
// track has one id: not upper case, not padding, not the three unused bits of the last character.
func ParseTrackID(s string) (handle uint32, ok bool) {
	var b [5]byte
	if len(s) != 7 {
		return 0, false
	}
	n, err := trackIDs.Decode(b[:], []byte(s))
	if err != nil || n != 4 {
		return 0, false
	}
	handle = binary.BigEndian.Uint32(b[:4])
	return handle, handle != 0 && TrackID(handle) == s
}
