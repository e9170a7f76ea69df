package frame

import "encoding/binary"

// Parse reads one packet from the front of b into p and returns the bytes after it, which are the next packet of the
// message. It allocates nothing; p aliases b.
//
// A refused packet matches exactly one of the Err sentinels; checks run in the order version, kind, flags, length
// (ErrShort, ErrCount), handle, Opus, seq. Where the refused packet's end is known (ErrCount, ErrHandle, ErrOpus,
// ErrSeq) rest is still what follows it, so that one bad packet does not cost the whole message; otherwise rest is nil.
// In those cases p still has Kind, Header, Span and Raw as they were read, which says whose seqs were refused; its
// frames must not be used. Layout: docs/wire.md section 1.
func Parse(b []byte, p *Packet) (rest []byte, err error) {
	*p = Packet{}
	if len(b) == 0 {
		return nil, ErrShort
	}
	if b[0]>>6 != version {
		return nil, ErrVersion
	}
	p.Kind = Kind(b[0] >> 4 & 3)
	p.Flags = Flags(b[0]) & allFlags
	if p.Kind > Silence {
		return nil, ErrKind
	}
	if p.Kind == Silence && p.Flags&Pack != 0 {
		return nil, ErrFlags
	}
	body, ok := p.parseHeader(b)
	if !ok {
		return nil, ErrShort
	}
	if p.Kind == Silence {
		rest, ok = p.parseSilence(body)
	} else {
		rest, ok = p.parseAudio(body)
	}
	if !ok {
		return nil, ErrShort
	}
	end := len(b) - len(rest)
	p.raw = b[:end:end]
	return rest, p.check()
}

func (p *Packet) parseHeader(b []byte) (body []byte, ok bool) {
	if len(b) < HeaderSize {
		return nil, false
	}
	p.Handle = binary.BigEndian.Uint32(b[1:])
	p.Epoch = b[5]
	p.Seq = binary.BigEndian.Uint32(b[6:])
	p.Timestamp = binary.BigEndian.Uint32(b[10:])
	body = b[HeaderSize:]
	if p.Flags&Traced == 0 {
		return body, true
	}
	if len(body) < TraceSize {
		return nil, false
	}
	copy(p.Trace.TraceID[:], body)
	copy(p.Trace.SpanID[:], body[16:])
	return body[TraceSize:], true
}

func (p *Packet) parseSilence(b []byte) (rest []byte, ok bool) {
	if len(b) < 3 {
		return nil, false
	}
	p.Span = binary.BigEndian.Uint16(b)
	p.Unit = b[2]
	return b[3:], true
}

// parseAudio finds the lengths and payloads. What the lengths claim is held against what is there before anything is
// sliced.
func (p *Packet) parseAudio(b []byte) (rest []byte, ok bool) {
	p.Span = 1
	if p.Flags&Pack != 0 {
		if len(b) == 0 {
			return nil, false
		}
		p.Span = uint16(b[0])
		b = b[1:]
	}
	at, total := 0, 0
	for range p.Span {
		n, size := readLength(b[at:])
		if size == 0 {
			return nil, false
		}
		at += size
		total += n
	}
	if total > len(b)-at {
		return nil, false
	}
	p.lengths, p.payload = b[:at], b[at:at+total]
	return b[at+total:], true
}

// check judges a packet whose end is known.
func (p *Packet) check() error {
	switch {
	case p.Span == 0 && p.Kind == Audio:
		return errNoFrames
	case p.Span == 0:
		return errSpan
	case p.Kind == Silence && (p.Unit == 0 || p.Unit > MaxUnits):
		return errUnit
	case p.Handle == 0:
		return ErrHandle
	}
	if err := p.checkFrames(); err != nil {
		return err
	}
	return checkSeqs(p.Seq, int(p.Span))
}

func (p *Packet) checkFrames() error {
	lengths, payload := p.lengths, p.payload
	for len(lengths) > 0 {
		n, size := readLength(lengths)
		samples, err := Duration(payload[:n])
		if err != nil {
			return err
		}
		unit := uint8(samples / UnitSamples)
		if p.Unit != 0 && p.Unit != unit {
			return errMixed
		}
		p.Unit = unit
		lengths, payload = lengths[size:], payload[n:]
	}
	return nil
}

func checkSeqs(first uint32, count int) error {
	if uint64(first)+uint64(count)-1 > MaxSeq {
		return ErrSeq
	}
	return nil
}

// readLength reads a length as RFC 6716 §3.2.1 codes it; size is 0 where b ends too early.
func readLength(b []byte) (n, size int) {
	switch {
	case len(b) == 0:
		return 0, 0
	case b[0] < 252:
		return int(b[0]), 1
	case len(b) == 1:
		return 0, 0
	}
	return int(b[0]) + 4*int(b[1]), 2
}

// appendLength is the inverse of readLength for 0–1275.
func appendLength(dst []byte, n int) []byte {
	if n < 252 {
		return append(dst, byte(n))
	}
	first := 252 + n%4 // 252 is a multiple of 4, so the two bytes that give n are unique
	return append(dst, byte(first), byte((n-first)/4))
}
