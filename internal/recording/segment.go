package recording

import (
	"encoding/binary"
	"errors"
	"fmt"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// ErrSegment is wrapped by every refusal of a segment.
var ErrSegment = errors.New("not a valid segment")

// Segment is a closed piece of a track: Count seqs of one epoch from First on, each of which is a frame, declared silent
// or missing for a reason.
//
// Its bytes, all numbers big-endian:
//
//	"ALSG" version(1) room-length(1) room handle(4) epoch(1) unit(1) first(4) count(2) item…
//	item: 1 timestamp(4) length(2) payload | 2 span(2) | 3 span(2) reason-length(1) reason
//
// Items follow in seq order and cover exactly count seqs; neighbours that say the same are one item. So a segment has
// one form only, and nothing in it depends on who wrote it, when, or in which order frames came.
type Segment struct {
	Room   string
	Handle uint32
	Epoch  uint8
	Unit   uint8 // duration of each seq in units of 2.5 ms
	First  uint32
	Count  int // 1–SegmentSeqs
	Items  []Item
}

// Item is one frame, or Span seqs that are silent or missing.
type Item struct {
	Kind      Kind
	Seq       uint32 // the first one
	Span      int    // 1 for a frame
	Timestamp uint32 // of a frame
	Payload   []byte // of a frame
	Reason    room.GapReason
}

// From is what of the item lies at a seq or behind it; of Span 0 where nothing does.
func (it Item) From(seq uint32) Item {
	if before := int(min(int64(it.Span), int64(seq)-int64(it.Seq))); before > 0 {
		it.Seq, it.Span = it.Seq+uint32(before), it.Span-before
	}
	return it
}

// Kind says what became of a seq.
type Kind uint8

// Kinds of Item.
const (
	Present Kind = 1
	Silent  Kind = 2
	Lost    Kind = 3
)

const (
	segmentMagic   = "ALSG"
	segmentVersion = 1
)

// Add puts an item behind the others, as part of the last one where that says the same.
func (s *Segment) Add(it Item) {
	if n := len(s.Items); n > 0 && it.Kind != Present {
		if last := &s.Items[n-1]; last.Kind == it.Kind && last.Reason == it.Reason {
			last.Span += it.Span
			return
		}
	}
	s.Items = append(s.Items, it)
}

// Append appends the segment's bytes to dst. Errors match ErrSegment: the items are not in canonical form.
func (s *Segment) Append(dst []byte) ([]byte, error) {
	if err := s.check(); err != nil {
		return dst, err
	}
	dst = append(dst, segmentMagic...)
	dst = append(dst, segmentVersion, byte(len(s.Room)))
	dst = append(dst, s.Room...)
	dst = binary.BigEndian.AppendUint32(dst, s.Handle)
	dst = append(dst, s.Epoch, s.Unit)
	dst = binary.BigEndian.AppendUint32(dst, s.First)
	dst = binary.BigEndian.AppendUint16(dst, uint16(s.Count))
	for _, it := range s.Items {
		dst = append(dst, byte(it.Kind))
		if it.Kind == Present {
			dst = binary.BigEndian.AppendUint32(dst, it.Timestamp)
			dst = binary.BigEndian.AppendUint16(dst, uint16(len(it.Payload)))
			dst = append(dst, it.Payload...)
			continue
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(it.Span))
		if it.Kind == Lost {
			dst = append(dst, byte(len(it.Reason)))
			dst = append(dst, it.Reason...)
		}
	}
	return dst, nil
}

// ParseSegment is the inverse of Append and takes only what Append gives. Payloads alias b. Errors match ErrSegment.
func ParseSegment(b []byte) (*Segment, error) {
	r := reader{b: b}
	if string(r.take(len(segmentMagic))) != segmentMagic || r.u8() != segmentVersion {
		return nil, fmt.Errorf("%w: no segment of version %d", ErrSegment, segmentVersion)
	}
	s := &Segment{Room: string(r.take(int(r.u8())))}
	s.Handle, s.Epoch, s.Unit, s.First, s.Count = r.u32(), r.u8(), r.u8(), r.u32(), int(r.u16())
	for seq := uint64(s.First); len(r.b) > 0 && !r.short; {
		it := Item{Kind: Kind(r.u8()), Seq: uint32(seq), Span: 1}
		switch it.Kind {
		case Present:
			it.Timestamp = r.u32()
			it.Payload = r.take(int(r.u16()))
		case Silent:
			it.Span = int(r.u16())
		case Lost:
			it.Span = int(r.u16())
			it.Reason = room.GapReason(r.take(int(r.u8())))
		}
		seq += uint64(it.Span)
		s.Items = append(s.Items, it)
	}
	if r.short {
		return nil, fmt.Errorf("%w: cut short", ErrSegment)
	}
	return s, s.check()
}

// check holds the segment against its one form.
func (s *Segment) check() error {
	switch {
	case len(s.Room) == 0 || len(s.Room) > 255:
		return fmt.Errorf("%w: room name of %d bytes", ErrSegment, len(s.Room))
	case s.Handle == 0:
		return fmt.Errorf("%w: handle 0", ErrSegment)
	case s.Unit == 0 || s.Unit > frame.MaxUnits:
		return fmt.Errorf("%w: unit %d", ErrSegment, s.Unit)
	case s.First%SegmentSeqs != 0 || s.Count < 1 || s.Count > SegmentSeqs || uint64(s.First)+uint64(s.Count)-1 > frame.MaxSeq:
		return fmt.Errorf("%w: seqs %d + %d", ErrSegment, s.First, s.Count)
	}
	next := uint64(s.First)
	for i, it := range s.Items {
		if uint64(it.Seq) != next {
			return fmt.Errorf("%w: item of seq %d where %d should be", ErrSegment, it.Seq, next)
		}
		if err := s.checkItem(i); err != nil {
			return err
		}
		next += uint64(it.Span)
	}
	if next != uint64(s.First)+uint64(s.Count) {
		return fmt.Errorf("%w: items up to seq %d of %d + %d", ErrSegment, next, s.First, s.Count)
	}
	return nil
}

func (s *Segment) checkItem(i int) error {
	it := s.Items[i]
	if it.Kind == Present {
		samples, err := frame.Duration(it.Payload)
		if err != nil || samples != int(s.Unit)*frame.UnitSamples || it.Span != 1 {
			return fmt.Errorf("%w: frame %d of %d bytes is not one of %d samples", ErrSegment, it.Seq, len(it.Payload), int(s.Unit)*frame.UnitSamples)
		}
		return nil
	}
	if it.Kind != Silent && it.Kind != Lost || it.Span < 1 || it.Span > SegmentSeqs {
		return fmt.Errorf("%w: item of kind %d for %d seqs", ErrSegment, it.Kind, it.Span)
	}
	if it.Kind == Lost && (it.Reason == "" || len(it.Reason) > 255) {
		return fmt.Errorf("%w: gap without a reason", ErrSegment)
	}
	if i > 0 && s.Items[i-1].Kind == it.Kind && s.Items[i-1].Reason == it.Reason {
		return fmt.Errorf("%w: two items that are one at seq %d", ErrSegment, it.Seq)
	}
	return nil
}

// reader takes numbers from the front; short is set once more was asked for than there is.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.short, r.b = true, nil
		return nil
	}
	part := r.b[:n:n]
	r.b = r.b[n:]
	return part
}

func (r *reader) u8() uint8 {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}
