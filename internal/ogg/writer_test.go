package ogg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"testing"

	"pgregory.net/rapid"

	"airloom/internal/frame"
)

// TestWriterKeepsTime throws frames and silences at any time at a Writer and reads back what came out.
func TestWriterKeepsTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out bytes.Buffer
		w, err := NewWriter(&out, rapid.Uint32().Draw(t, "serial"), Head{Channels: 2, PreSkip: rapid.IntRange(0, 65535).Draw(t, "pre-skip")})
		if err != nil {
			t.Fatal(err)
		}
		var written []copied // payload nil for fill
		note := func(f Fill) {
			if f.Packets > 0 && f.First != len(written) {
				t.Fatalf("fill from packet %d, but that is number %d", f.First, len(written))
			}
			written = append(written, make([]copied, f.Packets)...)
		}
		var at int64
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			at += int64(rapid.SampledFrom([]int{0, 0, 0, 0, -100, 119, 120, 959, 960, 3000, 48000}).Draw(t, "jump"))
			before := w.Samples()
			if rapid.IntRange(0, 5).Draw(t, "what") == 0 {
				samples := int64(rapid.IntRange(0, 10000).Draw(t, "silence"))
				lost, silent, err := w.Silence(at, samples)
				if err != nil {
					t.Fatal(err)
				}
				note(lost)
				note(silent)
				at += samples
				checkTime(t, w, before, at, tolerance)
				continue
			}
			p := drawFrame(t)
			lost, err := w.Frame(at, p.payload)
			if err != nil {
				t.Fatal(err)
			}
			note(lost)
			written = append(written, p)
			at += int64(p.samples)
			checkTime(t, w, before+int64(p.samples), at, min(p.samples, tolerance))
		}
		samples, packets := w.Samples(), w.Packets()
		if err := w.Close(0); err != nil {
			t.Fatal(err)
		}
		if packets != len(written) {
			t.Fatalf("%d packets, %d were noted", packets, len(written))
		}
		checkFile(t, out.Bytes(), w, written, samples)
	})
}

// checkTime: the Writer is where the clock is, or where it was if that is later.
func checkTime(t *rapid.T, w *Writer, least, at int64, tolerance int) {
	if w.Samples() < least || w.Samples() > max(least, at) || at-w.Samples() >= int64(tolerance) {
		t.Fatalf("at %d instead of %d (at least %d)", w.Samples(), at, least)
	}
}

func drawFrame(t *rapid.T) copied {
	toc := rapid.SampledFrom([]byte{0xe0, 0xe8, 0xf8, 0xfc, 0x08, 0x58, 0x78}).Draw(t, "toc")
	p := bytes.Repeat([]byte{toc}, rapid.SampledFrom([]int{2, 80, 255, 1275}).Draw(t, "size"))
	samples, err := frame.Duration(p)
	if err != nil {
		t.Fatal(err)
	}
	return copied{p, samples}
}

func checkFile(t *rapid.T, file []byte, w *Writer, written []copied, samples int64) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		p, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if i < len(written) && written[i].payload != nil && !bytes.Equal(p.Payload, written[i].payload) {
			t.Fatalf("packet %d was altered", i)
		}
		if p.Samples < 120 || len(p.Payload) < frame.MinFrame {
			t.Fatalf("packet %d: % x", i, p.Payload)
		}
	}
	if r.Samples() != w.Samples() || r.Samples() < samples || r.Length() != r.Samples()-int64(r.Head().PreSkip) {
		t.Fatalf("%d samples (%d to be heard), written %d", r.Samples(), r.Length(), samples)
	}
	checkPages(t, file)
}

// checkPages: numbered in order, no longer than a second unless a packet is, granule positions that never fall.
func checkPages(t *rapid.T, file []byte) {
	var granule uint64
	for i := uint32(0); len(file) > 0; i++ {
		if got := binary.LittleEndian.Uint32(file[18:]); got != i {
			t.Fatalf("page %d is number %d", i, got)
		}
		at := binary.LittleEndian.Uint64(file[6:])
		if at < granule || at-granule > pageSamples {
			t.Fatalf("page %d: from %d to %d", i, granule, at)
		}
		granule = at
		size := pageHeaderSize + int(file[26])
		for _, n := range file[pageHeaderSize:size] {
			size += int(n)
		}
		if last := len(file) == size; last != (file[5]&lastPage != 0) {
			t.Fatalf("page %d: flags %x, last %v", i, file[5], last)
		}
		file = file[size:]
	}
}

func TestFillSaysWhatItIs(t *testing.T) {
	w, err := NewWriter(io.Discard, 1, Head{Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		at   int64
		want Fill
	}{
		{"nothing to conceal from: silence", 960, Fill{0, 1, 960}},
		{"one frame: one packet that asks for concealment", 2880, Fill{2, 1, 960}},
		{"60 samples late: let be", 3900, Fill{}},
		{"959 samples late: let be", 4800 + 959, Fill{}},
		{"30 ms and a bit: concealed 20, silent 10", 5760 + 1500, Fill{6, 2, 1440}},
		{"a second: concealed 80 ms, silent 46 times 20 ms", 8160 + 48000, Fill{9, 47, 48000}},
		{"too early: put behind", 0, Fill{}},
	} {
		lost, err := w.Frame(c.at, voice)
		if err != nil || lost != c.want {
			t.Errorf("%s: %+v, %v", c.name, lost, err)
		}
	}
	at, packets := w.Samples(), w.Packets()
	lost, silent, err := w.Silence(at+960, 960*3+300)
	if want := (Fill{packets + 1, 4, 960*3 + 240}); err != nil || lost != (Fill{packets, 1, 960}) || silent != want {
		t.Errorf("silence: lost %+v, silent %+v, %v", lost, silent, err)
	}
	if _, err := w.Frame(w.Samples()+maxFill+1, voice); !errors.Is(err, ErrGap) {
		t.Errorf("a day's gap: %v", err)
	}
	if _, _, err := w.Silence(0, maxFill+1); !errors.Is(err, ErrGap) {
		t.Errorf("a day's silence: %v", err)
	}
	if _, err := w.Frame(math.MinInt64, voice[:1]); !errors.Is(err, frame.ErrOpus) {
		t.Errorf("no frame: %v", err)
	}
	if err := w.Close(961); err == nil {
		t.Error("trimmed more than the last packet has")
	}
}

func TestWriterRefuses(t *testing.T) {
	for _, h := range []Head{{}, {Channels: 3}, {Channels: 1, PreSkip: -1}, {Channels: 1, PreSkip: 65536}} {
		if _, err := NewWriter(io.Discard, 1, h); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

// full takes so many pages and then no more.
type full int

var errFull = errors.New("disk is full")

func (f *full) Write(b []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestErrorsOfTheOutputStay(t *testing.T) {
	for room := range full(3) {
		out := room
		w, err := NewWriter(&out, 1, Head{Channels: 1})
		if room < 2 {
			if !errors.Is(err, errFull) {
				t.Errorf("room for %d pages: %v", room, err)
			}
			continue
		}
		if _, err := w.Frame(0, voice); err != nil {
			t.Error(err)
		}
		if _, err := w.Frame(96000, voice); !errors.Is(err, errFull) {
			t.Errorf("writing: %v", err)
		}
		if _, _, err := w.Silence(0, 960); !errors.Is(err, errFull) {
			t.Errorf("writing on: %v", err)
		}
		if err := w.Close(0); !errors.Is(err, errFull) {
			t.Errorf("closing: %v", err)
		}
	}
}

func TestClosedWriterTakesNothing(t *testing.T) {
	var out bytes.Buffer
	w, err := NewWriter(&out, 1, Head{Channels: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	size := out.Len()
	if _, err := w.Frame(0, voice); err == nil || w.Close(0) == nil || out.Len() != size {
		t.Error("a closed writer goes on")
	}
}

func BenchmarkWriter(b *testing.B) {
	w, err := NewWriter(io.Discard, 1, Head{Channels: 1})
	if err != nil {
		b.Fatal(err)
	}
	payload := bytes.Repeat([]byte{0xf8}, 120)
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Frame(w.Samples(), payload); err != nil {
			b.Fatal(err)
		}
	}
}
