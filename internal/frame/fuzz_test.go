package frame

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzParse holds what every packet that is read must hold: it writes back as the same bytes, its frames are valid and
// it took no more bytes than there were. What is refused matches one of the sentinels.
func FuzzParse(f *testing.F) {
	v := loadVectors(f)
	for _, p := range v.Packets {
		f.Add([]byte(p.Hex))
	}
	for _, p := range v.Invalid {
		f.Add([]byte(p.Hex))
	}
	var p Packet
	f.Fuzz(func(t *testing.T, b []byte) {
		rest, err := Parse(b, &p)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if len(p.Raw())+len(rest) != len(b) {
			t.Fatalf("took %d of %d bytes, left %d", len(p.Raw()), len(b), len(rest))
		}
		if again := encodeAgain(t, &p); !bytes.Equal(again, p.Raw()) {
			t.Fatalf("% x writes back as % x", p.Raw(), again)
		}
	})
}

func checkRefusal(t *testing.T, err error) {
	for _, known := range errorNames {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("%v is none of the sentinels", err)
}

func encodeAgain(t *testing.T, p *Packet) []byte {
	if p.Kind == Silence {
		b, err := AppendSilence(nil, p.Header, p.Span, p.Unit)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var frames [][]byte
	for f := range p.Frames {
		if samples, err := Duration(f.Payload); err != nil || samples != p.FrameSamples() {
			t.Fatalf("frame %d lasts %d samples, %v", f.Seq, samples, err)
		}
		if f.Seq > p.Last() || f.Seq < p.Seq {
			t.Fatalf("frame %d is not within %d–%d", f.Seq, p.Seq, p.Last())
		}
		frames = append(frames, f.Payload)
	}
	b, err := AppendAudio(nil, p.Header, frames...)
	if err != nil || len(frames) != p.Count() {
		t.Fatalf("%d frames of %d: %v", len(frames), p.Count(), err)
	}
	return b
}

// FuzzDuration holds that a frame is either refused or lasts 2.5 to 120 ms.
func FuzzDuration(f *testing.F) {
	for _, v := range loadVectors(f).Opus {
		f.Add([]byte(v.Hex))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		samples, err := Duration(b)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		if samples < UnitSamples || samples > MaxUnits*UnitSamples || samples%UnitSamples != 0 {
			t.Fatalf("%d samples", samples)
		}
	})
}

func FuzzParseTrackID(f *testing.F) {
	v := loadVectors(f)
	for _, id := range v.TrackIDs {
		f.Add(id.ID)
	}
	for _, id := range v.BadTrackIDs {
		f.Add(id.ID)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if handle, ok := ParseTrackID(id); ok && TrackID(handle) != id {
			t.Fatalf("%q and %q are the same track", id, TrackID(handle))
		}
	})
}
