package frame

import (
	"bytes"
	"testing"
)

// opus returns a 20 ms CELT frame of n bytes, n at least 2.
func opus(n int, fill byte) []byte {
	b := bytes.Repeat([]byte{fill}, n)
	b[0] = 0xf8
	return b
}

func pack(tb testing.TB, frames int) []byte {
	tb.Helper()
	var payloads [][]byte
	for i := range frames {
		payloads = append(payloads, opus(60+i, byte(i)))
	}
	b, err := AppendAudio(nil, Header{Handle: 7, Seq: 100, Timestamp: 96000}, payloads...)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestNothingOnTheFramePathAllocates(t *testing.T) {
	single, ten := pack(t, 1), pack(t, 10)
	one, two := opus(80, 1), opus(90, 2)
	dst := make([]byte, 0, 4096)
	var p Packet
	var sink int
	digest := NewDigest()
	paths := map[string]func(){
		"parse single": func() { Parse(single, &p) },
		"parse pack":   func() { Parse(ten, &p) },
		"iterate": func() {
			for f := range p.Frames {
				sink += len(f.Payload)
			}
		},
		"append":          func() { dst, _ = AppendAudio(dst[:0], p.Header, one, two) },
		"refuse":          func() { Parse(ten[:40], &p) },
		"refuse an Opus":  func() { Duration(single[:1]) },
		"digest":          func() { digest.Add(one) },
		"refuse encoding": func() { dst, _ = AppendAudio(dst[:0], Header{}, one) },
	}
	for _, name := range []string{"parse single", "parse pack", "iterate", "append", "refuse", "refuse an Opus", "digest", "refuse encoding"} {
		if n := testing.AllocsPerRun(100, paths[name]); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkParseSingle(b *testing.B) { benchmarkParse(b, 1) }
func BenchmarkParsePack(b *testing.B)   { benchmarkParse(b, 10) }

func benchmarkParse(b *testing.B, frames int) {
	packet := pack(b, frames)
	var p Packet
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(packet, &p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFrames(b *testing.B) {
	var p Packet
	if _, err := Parse(pack(b, 10), &p); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for f := range p.Frames {
			n += len(f.Payload)
		}
		if n == 0 {
			b.Fatal("no frames")
		}
	}
}

func BenchmarkAppendAudio(b *testing.B) {
	payload, dst := opus(80, 1), make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if dst, err = AppendAudio(dst[:0], Header{Handle: 7}, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuilder(b *testing.B) {
	builder := Builder{Handle: 7, MaxFrames: 10}
	f := Frame{Payload: opus(80, 1)}
	b.ReportAllocs()
	for b.Loop() {
		full, err := builder.Add(f, Voice)
		if err != nil {
			b.Fatal(err)
		}
		if full {
			builder.Take()
		}
		f.Seq++
		f.Timestamp += 960
	}
}

func BenchmarkRangesInOrder(b *testing.B) {
	var r Ranges
	var seq uint32
	b.ReportAllocs()
	for b.Loop() {
		r.Add(seq, seq)
		seq++
	}
}
