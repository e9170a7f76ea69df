package frame

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestVectorsDecode(t *testing.T) {
	for _, v := range loadVectors(t).Packets {
		t.Run(v.Name, func(t *testing.T) {
			var p Packet
			after := []byte{0xaa}
			rest, err := Parse(slices.Concat(v.Hex, after), &p)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(rest, after) || !bytes.Equal(p.Raw(), v.Hex) {
				t.Errorf("took % x and left % x", p.Raw(), rest)
			}
			compare(t, &p, &v.Packet)
		})
	}
}

func compare(t *testing.T, p *Packet, want *vectorPacket) {
	t.Helper()
	kinds := map[string]Kind{"audio": Audio, "silence": Silence}
	if p.Kind != kinds[want.Kind] || p.Header != want.header() {
		t.Errorf("kind %d, header %+v", p.Kind, p.Header)
	}
	if p.Count() != want.Count || p.Unit != want.Unit || p.Last() != want.Seq+uint32(want.Count)-1 {
		t.Errorf("count %d, unit %d, last %d", p.Count(), p.Unit, p.Last())
	}
	frames := slices.Collect(p.Frames)
	if p.Kind == Audio && len(frames) != want.Count || p.Kind == Silence && len(frames) != 0 {
		t.Fatalf("%d frames", len(frames))
	}
	for _, f := range want.Frames {
		got := frames[f.Seq-want.Seq]
		if got.Seq != f.Seq || got.Timestamp != f.Timestamp || !bytes.Equal(got.Payload, f.Hex) {
			t.Errorf("frame %d at %d: % x", got.Seq, got.Timestamp, got.Payload)
		}
	}
}

func TestVectorsEncode(t *testing.T) {
	for _, v := range loadVectors(t).Packets {
		if v.Encode != nil && !*v.Encode {
			continue
		}
		t.Run(v.Name, func(t *testing.T) {
			before := []byte{0xaa}
			var frames [][]byte
			for _, f := range v.Packet.Frames {
				frames = append(frames, f.Hex)
			}
			encode := func() ([]byte, error) { return AppendAudio(before, v.Packet.header(), frames...) }
			if v.Packet.Kind == "silence" {
				encode = func() ([]byte, error) {
					return AppendSilence(before, v.Packet.header(), uint16(v.Packet.Count), v.Packet.Unit)
				}
			}
			got, err := encode()
			if err != nil || !bytes.Equal(got, slices.Concat(before, v.Hex)) {
				t.Errorf("% x, %v", got, err)
			}
		})
	}
}

func TestVectorsCutShort(t *testing.T) {
	for _, v := range loadVectors(t).Packets {
		for n := range v.Hex {
			var p Packet
			if _, err := Parse(v.Hex[:n], &p); err != ErrShort {
				t.Errorf("%s, %d bytes of %d: %v", v.Name, n, len(v.Hex), err)
			}
		}
	}
}

func TestVectorsRefused(t *testing.T) {
	for _, v := range loadVectors(t).Invalid {
		t.Run(v.Name, func(t *testing.T) {
			var p Packet
			rest, err := Parse(v.Hex, &p)
			want, known := errorNames[v.Error]
			if !known || !errors.Is(err, want) {
				t.Errorf("%v, want %s", err, v.Error)
			}
			if (v.End == nil) != (rest == nil) || v.End != nil && len(v.Hex)-len(rest) != *v.End {
				t.Errorf("left % x", rest)
			}
		})
	}
}

func TestVectorsMessages(t *testing.T) {
	v := loadVectors(t)
	spelling := map[string][]byte{}
	for _, p := range v.Packets {
		spelling[p.Name] = p.Hex
	}
	for _, p := range v.Invalid {
		spelling[p.Name] = p.Hex
	}
	for _, m := range v.Messages {
		t.Run(m.Name, func(t *testing.T) {
			var message []byte
			for _, name := range m.Of {
				if spelling[name] == nil {
					t.Fatalf("no vector %q", name)
				}
				message = append(message, spelling[name]...)
			}
			var reads, refused int
			for len(message) > 0 {
				var p Packet
				rest, err := Parse(message, &p)
				if err != nil {
					if refused == len(m.Refused) || !errors.Is(err, errorNames[m.Refused[refused]]) {
						t.Fatalf("refused with %v", err)
					}
					refused++
				} else {
					if reads == len(m.Reads) || !bytes.Equal(p.Raw(), spelling[m.Reads[reads]]) {
						t.Fatalf("read % x", p.Raw())
					}
					reads++
				}
				message = rest
			}
			if reads != len(m.Reads) || refused != len(m.Refused) {
				t.Errorf("read %d and refused %d packets", reads, refused)
			}
		})
	}
}

func TestVectorsTOC(t *testing.T) {
	units := loadVectors(t).TOCUnits
	if len(units) != 32 {
		t.Fatalf("%d configurations", len(units))
	}
	for config, want := range units {
		got, err := Duration([]byte{byte(config << 3), 0})
		if err != nil || got != want*UnitSamples {
			t.Errorf("configuration %d: %d samples, %v", config, got, err)
		}
	}
}

func TestVectorsOpus(t *testing.T) {
	for _, v := range loadVectors(t).Opus {
		t.Run(v.Name, func(t *testing.T) {
			samples, err := Duration(v.Hex)
			if v.Refused != "" {
				rule := []byte("(" + v.Refused + ")")
				if v.Refused == "length" {
					rule = []byte("bytes")
				}
				if !errors.Is(err, ErrOpus) || !bytes.Contains([]byte(err.Error()), rule) {
					t.Errorf("%v, want one about %s", err, v.Refused)
				}
				return
			}
			if err != nil || samples != v.Units*UnitSamples || Channels(v.Hex) != v.Channels {
				t.Errorf("%d samples, %d channels, %v", samples, Channels(v.Hex), err)
			}
		})
	}
	if Channels(nil) != 0 {
		t.Error("nothing has channels")
	}
}

func TestVectorsTrackIDs(t *testing.T) {
	v := loadVectors(t)
	for _, id := range v.TrackIDs {
		if got := TrackID(id.Handle); got != id.ID {
			t.Errorf("TrackID(%d) = %q, want %q", id.Handle, got, id.ID)
		}
		if got, ok := ParseTrackID(id.ID); !ok || got != id.Handle {
			t.Errorf("ParseTrackID(%q) = %d, %v", id.ID, got, ok)
		}
	}
	for _, id := range v.BadTrackIDs {
		if got, ok := ParseTrackID(id.ID); ok {
			t.Errorf("ParseTrackID(%q) = %d", id.ID, got)
		}
	}
}

func TestVectorsDigest(t *testing.T) {
	for _, v := range loadVectors(t).Digest {
		d := NewDigest()
		for _, f := range v.Frames {
			d.Add(f)
			_ = d.Sum() // must not disturb what follows
		}
		if got := d.Sum(); got != v.SHA256 {
			t.Errorf("%d frames: %s, want %s", len(v.Frames), got, v.SHA256)
		}
	}
}

func TestEncodersRefuse(t *testing.T) {
	ok := []byte{0xf8, 0}
	h := Header{Handle: 1}
	last := Header{Handle: 1, Seq: MaxSeq}
	many := slices.Repeat([][]byte{ok}, MaxFrames+1)
	audio := func(h Header, frames ...[]byte) error {
		dst, err := AppendAudio([]byte{1}, h, frames...)
		if err != nil && len(dst) != 1 {
			t.Errorf("% x was appended along with %v", dst[1:], err)
		}
		return err
	}
	silence := func(h Header, span uint16, unit uint8) error {
		dst, err := AppendSilence([]byte{1}, h, span, unit)
		if err != nil && len(dst) != 1 {
			t.Errorf("% x was appended along with %v", dst[1:], err)
		}
		return err
	}
	for name, c := range map[string]struct{ got, want error }{
		"no frames":         {audio(h), ErrCount},
		"256 frames":        {audio(h, many...), ErrCount},
		"255 frames":        {audio(h, many[:MaxFrames]...), nil},
		"handle 0":          {audio(Header{}, ok), ErrHandle},
		"unknown flags":     {audio(Header{Handle: 1, Flags: 16}, ok), ErrFlags},
		"not Opus":          {audio(h, ok, []byte{0xf8}), ErrOpus},
		"unequal durations": {audio(h, ok, []byte{0xf0, 0}), ErrOpus},
		"beyond the end":    {audio(last, ok, ok), ErrSeq},
		"span 0":            {silence(h, 0, 8), ErrCount},
		"unit 0":            {silence(h, 1, 0), ErrCount},
		"unit 49":           {silence(h, 1, 49), ErrCount},
		"silent handle 0":   {silence(Header{}, 1, 8), ErrHandle},
		"silent pack":       {silence(Header{Handle: 1, Flags: Pack}, 1, 8), ErrFlags},
		"silence too far":   {silence(last, 2, 8), ErrSeq},
		"silence to end":    {silence(last, 1, 8), nil},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
}

func TestElapsedAcrossTheWrap(t *testing.T) {
	for _, c := range []struct {
		from, to uint32
		want     int
	}{{0, 960, 960}, {960, 0, -960}, {0xffffffff, 959, 960}, {959, 0xffffffff, -960}} {
		if got := Elapsed(c.from, c.to); got != c.want {
			t.Errorf("Elapsed(%d, %d) = %d, want %d", c.from, c.to, got, c.want)
		}
	}
}

func TestTimelineGoesOnBeyondTheWrap(t *testing.T) {
	var line Timeline
	var at int64
	timestamp := uint32(0xfffff000)
	for i := range 100_000 {
		if got := line.At(timestamp); got != at {
			t.Fatalf("step %d: %d, want %d", i, got, at)
		}
		step := int64(i%7-2) * 500_000_000 // forth and back, up to 5.8 h
		at += step
		timestamp += uint32(step)
	}
}

// What a hostile speaker sends must not cost memory either.
func TestVectorsAllocateNothing(t *testing.T) {
	v := loadVectors(t)
	var p Packet
	check := func(name string, b []byte) {
		if n := testing.AllocsPerRun(10, func() { Parse(b, &p) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	for _, packet := range v.Packets {
		check(packet.Name, packet.Hex)
	}
	for _, packet := range v.Invalid {
		check(packet.Name, packet.Hex)
	}
}
