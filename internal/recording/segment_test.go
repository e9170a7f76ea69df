package recording

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"airloom/internal/room"
)

// celt20 is a valid 20 ms frame with a mark in it.
func celt20(mark byte) []byte { return []byte{31 << 3, mark, 1, 2} }

func sample() *Segment {
	s := &Segment{Room: "hall", Handle: 7, Epoch: 2, Unit: 8, First: 500, Count: 9}
	s.Add(Item{Kind: Present, Seq: 500, Span: 1, Timestamp: 4_294_967_000, Payload: celt20(1)})
	s.Add(Item{Kind: Present, Seq: 501, Span: 1, Timestamp: 664, Payload: celt20(2)})
	s.Add(Item{Kind: Silent, Seq: 502, Span: 1})
	s.Add(Item{Kind: Silent, Seq: 503, Span: 2})
	s.Add(Item{Kind: Lost, Seq: 505, Span: 1, Reason: room.PublisherDropped})
	s.Add(Item{Kind: Lost, Seq: 506, Span: 2, Reason: room.PublisherVanished})
	s.Add(Item{Kind: Present, Seq: 508, Span: 1, Timestamp: 5000, Payload: celt20(3)})
	return s
}

func TestSegmentThereAndBack(t *testing.T) {
	s := sample()
	b, err := s.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSegment(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Fatalf("got %+v\nwant %+v", got, s)
	}
	if len(got.Items) != 6 {
		t.Fatalf("%d items: neighbours that say the same were not made one", len(got.Items))
	}
}

// Row 87 of the bad inputs, the codec's part: what was truncated, flipped or swapped is refused or another segment, never
// the same one.
func TestRow87DamagedSegments(t *testing.T) {
	b, err := sample().Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if _, err := ParseSegment(b[:i]); !errors.Is(err, ErrSegment) {
			t.Errorf("cut at %d: %v", i, err)
		}
		flipped := bytes.Clone(b)
		flipped[i] ^= 0x10
		if got, err := ParseSegment(flipped); err == nil && reflect.DeepEqual(got, sample()) {
			t.Errorf("flipped at %d: not noticed", i)
		}
	}
	if _, err := ParseSegment(append(bytes.Clone(b), 0)); !errors.Is(err, ErrSegment) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestSegmentsWithoutTheOneForm(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Segment)
	}{
		{"no room", func(s *Segment) { s.Room = "" }},
		{"long room", func(s *Segment) { s.Room = strings.Repeat("x", 256) }},
		{"no handle", func(s *Segment) { s.Handle = 0 }},
		{"no unit", func(s *Segment) { s.Unit = 0 }},
		{"not at a multiple", func(s *Segment) { s.First++ }},
		{"more seqs than items", func(s *Segment) { s.Count++ }},
		{"fewer seqs than items", func(s *Segment) { s.Count-- }},
		{"out of order", func(s *Segment) { s.Items[0], s.Items[1] = s.Items[1], s.Items[0] }},
		{"frames of other length", func(s *Segment) { s.Unit = 4 }},
		{"a frame of two seqs", func(s *Segment) { s.Items[5].Span = 2; s.Count++ }},
		{"gap without a reason", func(s *Segment) { s.Items[3].Reason = "" }},
		{"two gaps that are one", func(s *Segment) { s.Items[3].Reason = s.Items[4].Reason }},
		{"unknown kind", func(s *Segment) { s.Items[2].Kind = 9 }},
	} {
		s := sample()
		c.change(s)
		if _, err := s.Append(nil); !errors.Is(err, ErrSegment) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func FuzzParseSegment(f *testing.F) {
	b, err := sample().Append(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(segmentMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSegment(b)
		if err != nil {
			return
		}
		again, err := s.Append(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("a second form of one segment: %v", err)
		}
	})
}

func TestItemFromASeqOn(t *testing.T) {
	it := Item{Kind: Lost, Seq: 500, Span: 100, Reason: room.NotRecorded}
	for seq, want := range map[uint32]Item{
		0: it, 500: it, 530: {Kind: Lost, Seq: 530, Span: 70, Reason: room.NotRecorded}, 599: {Kind: Lost, Seq: 599, Span: 1, Reason: room.NotRecorded},
		600: {Kind: Lost, Seq: 600, Reason: room.NotRecorded}, 5000: {Kind: Lost, Seq: 600, Reason: room.NotRecorded},
	} {
		if got := it.From(seq); !reflect.DeepEqual(got, want) {
			t.Errorf("from %d: %+v, want %+v", seq, got, want)
		}
	}
}
