package participant

import (
	"bytes"
	"fmt"

	"airloom/internal/frame"
)

// opusFrame is a valid frame of 10 ms that says its number.
func opusFrame(n int) []byte { return append([]byte{8 << 3 & 0xf8}, fmt.Sprintf("frame %d", n)...) }

func init() {
	if d, err := frame.Duration(opusFrame(0)); err != nil || d != 480 {
		panic("opusFrame is to last 10 ms")
	}
}

// sink takes packets as an edge does: it keeps frames by seq and acks without holes.
type sink struct {
	have    frame.Ranges
	frames  map[uint32][]byte
	live    frame.Ranges
	lastLiv int64
}

func (s *sink) take(t interface{ Fatalf(string, ...any) }, message []byte) {
	var p frame.Packet
	for len(message) > 0 {
		rest, err := frame.Parse(message, &p)
		if err != nil {
			t.Fatalf("sent a bad packet: %v", err)
		}
		message = rest
		if p.Flags&frame.Backlog == 0 {
			if s.live.Add(p.Seq, p.Last()) != uint64(p.Count()) || int64(p.Seq) <= s.lastLiv {
				t.Fatalf("seqs %d to %d went live again or late (last %d)", p.Seq, p.Last(), s.lastLiv)
			}
			s.lastLiv = int64(p.Last())
		}
		s.have.Add(p.Seq, p.Last())
		for f := range p.Frames {
			if had := s.frames[f.Seq]; had != nil && !bytes.Equal(had, f.Payload) {
				t.Fatalf("frame %d has changed", f.Seq)
			}
			s.frames[f.Seq] = bytes.Clone(f.Payload)
		}
	}
}
