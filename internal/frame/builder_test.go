package frame

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// TestBuilderLosesNothing feeds frames with jumps of seq, timestamp, duration and flags and holds the frames of the
// packs against those that went in.
func TestBuilderLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Builder{
			Handle: 9, Epoch: 3,
			MaxFrames: rapid.IntRange(0, 12).Draw(t, "frames"),
			MaxBytes:  rapid.SampledFrom([]int{0, 100, 600, 8192}).Draw(t, "bytes"),
		}
		var in []Frame
		var out [][]byte
		for _, f := range drawFrames(t) {
			flags := rapid.SampledFrom([]Flags{0, 0, 0, Voice, Backlog, Traced | Pack}).Draw(t, "flags")
			if !b.Fits(f, flags) {
				if _, err := b.Add(f, flags); !errors.Is(err, ErrApart) {
					t.Fatalf("frame %d does not fit, but Add says %v", f.Seq, err)
				}
				out = append(out, b.Take())
			}
			full, err := b.Add(f, flags)
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, f)
			if full {
				out = append(out, b.Take())
			}
		}
		if last := b.Take(); last != nil {
			out = append(out, last)
		}
		checkPacks(t, &b, in, out)
	})
}

func drawFrames(t *rapid.T) []Frame {
	f := Frame{Seq: rapid.SampledFrom([]uint32{0, 1000, MaxSeq - 5}).Draw(t, "seq"), Timestamp: rapid.Uint32().Draw(t, "timestamp")}
	frames := make([]Frame, rapid.IntRange(0, 40).Draw(t, "n"))
	for i := range frames {
		f.Payload = opus(rapid.SampledFrom([]int{2, 60, 251, 252, 300}).Draw(t, "size"), byte(i))
		f.Payload[0] = rapid.SampledFrom([]byte{0xf8, 0xf8, 0xf8, 0xf8, 0xf0}).Draw(t, "toc")
		frames[i] = f
		f.Seq += rapid.SampledFrom([]uint32{1, 1, 1, 1, 1, 0, 2}).Draw(t, "step")
		f.Timestamp += rapid.SampledFrom([]uint32{960, 960, 960, 960, 961}).Draw(t, "samples")
	}
	return frames
}

func checkPacks(t *rapid.T, b *Builder, in []Frame, out [][]byte) {
	var p Packet
	for _, packet := range out {
		rest, err := Parse(packet, &p)
		if err != nil || len(rest) != 0 {
			t.Fatalf("% x: %v", packet, err)
		}
		if p.Count() > b.limit() || b.MaxBytes > 0 && len(packet) > b.MaxBytes && p.Count() > 1 {
			t.Fatalf("%d frames in %d bytes", p.Count(), len(packet))
		}
		if p.Handle != 9 || p.Epoch != 3 || p.Flags&Traced != 0 || (p.Flags&Pack != 0) != (p.Count() > 1) {
			t.Fatalf("header %+v", p.Header)
		}
		for f := range p.Frames {
			if len(in) == 0 || f.Seq != in[0].Seq || f.Timestamp != in[0].Timestamp || !bytes.Equal(f.Payload, in[0].Payload) {
				t.Fatalf("frame %d at %d came out, %v went in", f.Seq, f.Timestamp, in)
			}
			in = in[1:]
		}
	}
	if len(in) != 0 {
		t.Fatalf("%d frames are missing", len(in))
	}
}

func TestBuilderFlags(t *testing.T) {
	b := Builder{Handle: 1, MaxFrames: 3}
	f := Frame{Payload: opus(10, 0)}
	for i, flags := range []Flags{Backlog, Backlog | Voice, Backlog} {
		full, err := b.Add(f, flags)
		if err != nil || full != (i == 2) || b.Count() != i+1 || b.Seq() != 0 {
			t.Fatalf("frame %d: full %v, %v", i, full, err)
		}
		f.Seq++
		f.Timestamp += 960
	}
	var p Packet
	if _, err := Parse(b.Take(), &p); err != nil || p.Flags != Backlog|Voice|Pack {
		t.Errorf("flags %b, %v", p.Flags, err)
	}
	if b.Take() != nil {
		t.Error("an empty builder has a packet")
	}
}

func TestBuilderRefuses(t *testing.T) {
	var b Builder
	if _, err := b.Add(Frame{Payload: opus(10, 0)}, 0); !errors.Is(err, ErrHandle) {
		t.Errorf("without a handle: %v", err)
	}
	b.Handle = 1
	if _, err := b.Add(Frame{Payload: []byte{0xf8}}, 0); !errors.Is(err, ErrOpus) || b.Count() != 0 {
		t.Errorf("not Opus: %v", err)
	}
}
