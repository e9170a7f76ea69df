package recording

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"airloom/internal/frame"
)

// Chain is a track's hash chain: each link covers the place and the SHA-256 of a segment, and the link before it. So no
// segment can be left out, put in or moved without every later link changing. Make one with NewChain.
//
//	chain 0   SHA-256("airloom chain 1\n" recording "\n" room "\n" track "\n")
//	chain i   SHA-256(chain i−1, epoch (1 byte), n (4 bytes, big-endian), SHA-256 of the segment)
type Chain struct{ link [sha256.Size]byte }

// NewChain begins the chain of a track: none of the three names holds a line break.
func NewChain(recording, room, track string) *Chain {
	return &Chain{sha256.Sum256([]byte("airloom chain 1\n" + recording + "\n" + room + "\n" + track + "\n"))}
}

// Add takes the next segment in; segments come in the order of (epoch, n).
func (c *Chain) Add(epoch uint8, n uint32, segment [sha256.Size]byte) {
	b := make([]byte, 0, 2*sha256.Size+5)
	b = append(append(b, c.link[:]...), epoch)
	b = binary.BigEndian.AppendUint32(b, n)
	c.link = sha256.Sum256(append(b, segment[:]...))
}

// Sum is the last link so far in lower-case hex.
func (c *Chain) Sum() string { return hex.EncodeToString(c.link[:]) }

// Describe gives what the manifest says of a segment with these bytes, as the next one of its track's chain.
func (s *Segment) Describe(data []byte, chain *Chain) SegmentInfo {
	sum := sha256.Sum256(data)
	info := SegmentInfo{Epoch: s.Epoch, N: s.First / SegmentSeqs, Bytes: len(data), SHA256: hex.EncodeToString(sum[:])}
	info.Frames, info.Digest = s.sound()
	chain.Add(info.Epoch, info.N, sum)
	info.Chain = chain.Sum()
	return info
}

// sound is how many frames are there, and their digest.
func (s *Segment) sound() (frames int, digest string) {
	d := frame.NewDigest()
	for _, it := range s.Items {
		if it.Kind == Present {
			d.Add(it.Payload)
			frames++
		}
	}
	return frames, d.Sum()
}

// HasProof says whether the manifest carries digests and chains. Those made before there were any do not.
func (m *Manifest) HasProof() bool {
	for i := range m.Tracks {
		t := &m.Tracks[i]
		if t.Chain != "" {
			return true
		}
		for _, s := range t.Segments {
			if s.Chain != "" || s.Digest != "" {
				return true
			}
		}
	}
	return len(m.Tracks) == 0
}

// Place is where in a track a segment lies.
type Place struct {
	Epoch uint8   `json:"epoch"`
	N     uint32  `json:"n"`
	From  uint32  `json:"from"`  // first seq
	To    uint32  `json:"to"`    // last seq, included
	Begin float64 `json:"begin"` // seconds from the track's beginning
	End   float64 `json:"end"`
}

// String is as "segment 0-17 (seqs 8500-8999, 02:50.00-03:00.00)".
func (p Place) String() string {
	return fmt.Sprintf("segment %d-%d (seqs %d-%d, %s-%s)", p.Epoch, p.N, p.From, p.To, clock(p.Begin), clock(p.End))
}

// clock is as "02:50.00", with hours where there are any.
func clock(seconds float64) string {
	hundredths := int64(seconds*100 + 0.5)
	h, m, s := hundredths/360000, hundredths/6000%60, hundredths%6000
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%02d.%02d", h, m, s/100, s%100)
	}
	return fmt.Sprintf("%02d:%02d.%02d", m, s/100, s%100)
}

// place finds a segment's seqs and time by the track's epochs. A segment outside of all of them lies where it says.
func (t *Track) place(epoch uint8, n uint32) Place {
	from := uint64(n) * SegmentSeqs
	p := Place{Epoch: epoch, N: n, From: uint32(min(from, frame.MaxSeq)), To: uint32(min(from+SegmentSeqs-1, frame.MaxSeq))}
	began := 0.0
	for _, e := range t.Epochs {
		each := e.FrameMS / 1000
		if e.Epoch != epoch {
			began += (float64(e.Last) - float64(e.First) + 1) * each
			continue
		}
		if e.First <= p.To {
			p.From = max(p.From, e.First)
		}
		if e.Last >= p.From {
			p.To = min(p.To, e.Last)
		}
		p.Begin = began + (float64(p.From)-float64(e.First))*each
		p.End = began + (float64(p.To)-float64(e.First)+1)*each
		break
	}
	return p
}
