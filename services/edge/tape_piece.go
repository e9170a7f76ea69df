package edge

import (
	"time"

	"airloom/internal/frame"
)

const (
	pieceCost   = 160     // bytes of bookkeeping for each piece, beside its message
	maxListened = 8 << 10 // bytes of a message to a listener
)

// piece is one packet of the log, flagged BACKLOG and encoded once as a WebSocket message for all who listen to the same
// minutes. It never changes.
type piece struct {
	position    uint64 // in the log
	at          int64  // when the log took it, ns since 1970, by its clock
	came        int64  // when this edge read it, monotonic ns
	track       string
	epoch       uint8
	first, last uint32 // seqs it covers
	unit        uint8  // duration of a seq in units of 2.5 ms
	late        bool   // it was flagged BACKLOG in the log: its speaker had sent it again
	message     []byte
}

// pieces takes a message of the log apart; bad counts packets that do not parse.
func pieces(track string, data []byte, position uint64, at time.Time) (all []*piece, bad int) {
	var p frame.Packet
	for len(data) > 0 {
		rest, err := frame.Parse(data, &p)
		data = rest
		if err != nil || frame.TrackID(p.Handle) != track {
			bad++
			continue
		}
		one := &piece{position: position, at: at.UnixNano(), came: nanotime(), track: track, epoch: p.Epoch, first: p.Seq, last: p.Last(), unit: p.Unit, late: p.Flags&frame.Backlog != 0}
		one.message = past(p.Raw())
		all = append(all, one.fitting()...)
	}
	return all, bad
}

// past is a packet as a WebSocket message that carries BACKLOG.
func past(packet []byte) []byte {
	m := message(opBinary, packet)
	m[len(m)-len(packet)] |= byte(frame.Backlog)
	return m
}

// body is the payload of an encoded message.
func body(message []byte) []byte {
	switch message[1] {
	case 126:
		return message[4:]
	case 127:
		return message[10:]
	}
	return message[2:]
}

// fitting is the piece as messages that a listener takes: ten frames of the highest bit rates are more than one holds.
func (p *piece) fitting() []*piece {
	if len(p.message) <= maxListened || p.first == p.last {
		return []*piece{p}
	}
	middle := p.first + (p.last-p.first)/2
	return append(p.part(p.first, middle).fitting(), p.part(middle+1, p.last).fitting()...)
}

// part is the piece's seqs from..to alone, which it must have.
func (p *piece) part(from, to uint32) *piece {
	if from == p.first && to == p.last {
		return p
	}
	out := *p
	out.first, out.last = from, to
	out.message = past(partOf(body(p.message), from, to))
	return &out
}

// partOf encodes the seqs from..to of a packet anew, without its trace.
func partOf(packet []byte, from, to uint32) []byte {
	var p frame.Packet
	if _, err := frame.Parse(packet, &p); err != nil {
		panic(err) // it was parsed before
	}
	h := frame.Header{Flags: p.Flags &^ (frame.Traced | frame.Pack), Handle: p.Handle, Epoch: p.Epoch, Seq: from}
	h.Timestamp = p.Timestamp + (from-p.Seq)*uint32(p.FrameSamples())
	var out []byte
	var err error
	if p.Kind == frame.Silence {
		out, err = frame.AppendSilence(nil, h, uint16(to-from+1), p.Unit)
	} else {
		var frames [][]byte
		for f := range p.Frames {
			if f.Seq >= from && f.Seq <= to {
				frames = append(frames, f.Payload)
			}
		}
		out, err = frame.AppendAudio(nil, h, frames...)
	}
	if err != nil {
		panic(err) // its frames were valid before
	}
	return out
}

// lasts is how long the piece sounds, in ns.
func (p *piece) lasts() int64 { return (int64(p.last) - int64(p.first) + 1) * p.seqLasts() }

func (p *piece) seqLasts() int64 { return int64(p.unit) * int64(2500*time.Microsecond) }

func (p *piece) cost() int { return len(p.message) + pieceCost }
