package ogg

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pion/opus/pkg/oggreader"

	"airloom/internal/frame"
)

// TestReadsWhatToolsWrite compares with another reader packet by packet, and with opusdec sample by sample.
func TestReadsWhatToolsWrite(t *testing.T) {
	eachClip(t, func(t *testing.T, path string) {
		r, packets := readFile(t, path)
		theirs := readByPion(t, path)
		if len(packets) != len(theirs) {
			t.Fatalf("%d packets, pion reads %d", len(packets), len(theirs))
		}
		for i, p := range packets {
			if !bytes.Equal(p.payload, theirs[i]) {
				t.Fatalf("packet %d differs", i)
			}
		}
		if decoded := len(opusdec(t, path)) / r.Head().Channels; int64(decoded) != r.Length() {
			t.Errorf("%d samples, opusdec has %d", r.Length(), decoded)
		}
	})
}

func readByPion(t *testing.T, path string) (packets [][]byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, _, err := oggreader.NewWith(f)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, _, err := r.ParseNextPacket()
		if errors.Is(err, io.EOF) {
			return packets[1:] // the tags
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, p)
	}
}

// TestCopyIsExact writes what was read and holds the sound of both files against each other.
func TestCopyIsExact(t *testing.T) {
	eachClip(t, func(t *testing.T, path string) {
		r, packets := readFile(t, path)
		out := write(t, r.Head(), func(w *Writer) {
			for _, p := range packets {
				if lost, err := w.Frame(w.Samples(), p.payload); err != nil || lost.Packets != 0 {
					t.Fatalf("%+v lost, %v", lost, err)
				}
			}
			if err := w.Close(int(r.Samples() - r.Length() - int64(r.Head().PreSkip))); err != nil {
				t.Fatal(err)
			}
		})
		checkClean(t, out)
		again, copies := readFile(t, out)
		if again.Head() != r.Head() || again.Length() != r.Length() || !slices.EqualFunc(packets, copies, equalPackets) {
			t.Errorf("%d packets, %d samples of %d", len(copies), again.Length(), r.Length())
		}
		if !slices.Equal(opusdec(t, out), opusdec(t, path)) {
			t.Error("opusdec hears a difference")
		}
		if !slices.Equal(ffmpeg(t, out), ffmpeg(t, path)) {
			t.Error("ffmpeg hears a difference")
		}
	})
}

func equalPackets(a, b copied) bool {
	return a.samples == b.samples && bytes.Equal(a.payload, b.payload)
}

func write(t *testing.T, h Head, fill func(*Writer)) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "written.opus")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f, 1, h, "TITLE=Test")
	if err != nil {
		t.Fatal(err)
	}
	fill(w)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestGapsKeepTime loses frames and declares silences of many lengths, on timestamps that drift, and asks the tools for
// the time.
func TestGapsKeepTime(t *testing.T) {
	eachClip(t, func(t *testing.T, path string) {
		r, packets := readFile(t, path)
		var g gappy
		out := write(t, r.Head(), func(w *Writer) { g.write(t, w, packets) })
		checkClean(t, out)
		g.check(t, out)
		channels := r.Head().Channels
		want := int(g.samples) - r.Head().PreSkip
		for name, decoded := range map[string][]int16{"opusdec": opusdec(t, out), "ffmpeg": ffmpeg(t, out)} {
			if len(decoded) != want*channels {
				t.Errorf("%s: %d samples, want %d", name, len(decoded)/channels, want)
				continue
			}
			for _, s := range g.silences {
				// The decoder may need 30 ms to fade out, and fades in 5 ms before the next frame.
				from := max(0, int(s.from)-r.Head().PreSkip+1440) * channels
				to := (int(s.to) - r.Head().PreSkip - 240) * channels
				if from < to && to <= len(decoded) && loudest(decoded[from:to]) > 8 {
					t.Errorf("%s: silence from %d to %d is up to %d loud", name, s.from, s.to, loudest(decoded[from:to]))
				}
			}
		}
	})
}

type span struct{ from, to int64 }

// gappy remembers what it wrote where.
type gappy struct {
	published []copied
	at        []int64 // where each of them belongs
	fill      map[int]bool
	silences  []span
	samples   int64
}

func (g *gappy) write(t *testing.T, w *Writer, packets []copied) {
	g.fill = map[int]bool{}
	var at int64
	for i, p := range packets {
		switch phase := i % 97; {
		case phase == 13, phase == 20, phase == 21, phase >= 40 && phase < 53, i >= 300 && i < 390:
			// lost
		case phase >= 70 && phase < 90:
			lost, silent, err := w.Silence(at, int64(p.samples))
			if err != nil {
				t.Fatal(err)
			}
			g.note(lost)
			g.note(silent)
			g.extendSilence(at, at+int64(p.samples))
		default:
			lost, err := w.Frame(at, p.payload)
			if err != nil {
				t.Fatal(err)
			}
			g.note(lost)
			g.published = append(g.published, p)
			g.at = append(g.at, at)
		}
		at += int64(p.samples)
		if i%50 == 49 {
			at += 37 // a clock that runs a little fast
		}
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	g.samples = w.Samples()
}

func (g *gappy) note(f Fill) {
	for i := range f.Packets {
		g.fill[f.First+i] = true
	}
}

func (g *gappy) extendSilence(from, to int64) {
	if n := len(g.silences); n > 0 && from-g.silences[n-1].to < 100 {
		g.silences[n-1].to = to
		return
	}
	g.silences = append(g.silences, span{from, to})
}

// check holds the packets of the file against what was published: the same bytes, at the right time, all else is fill.
func (g *gappy) check(t *testing.T, path string) {
	t.Helper()
	_, packets := readFile(t, path)
	var end int64
	next := 0
	for i, p := range packets {
		if !g.fill[i] {
			if next == len(g.published) || !bytes.Equal(p.payload, g.published[next].payload) {
				t.Fatalf("packet %d is not frame %d as it was published", i, next)
			}
			if off := end - g.at[next]; off > 0 || -off >= int64(min(p.samples, tolerance)) {
				t.Errorf("frame %d is %d samples off", next, off)
			}
			next++
		}
		end += int64(p.samples)
	}
	if next != len(g.published) || end != g.samples {
		t.Errorf("%d of %d frames, %d of %d samples", next, len(g.published), end, g.samples)
	}
}

func loudest(samples []int16) (most int) {
	for _, s := range samples {
		most = max(most, int(math.Abs(float64(s))))
	}
	return most
}

// TestVoiceComesBackAfterSilence is why silence is written as SILK: in the other half of the codec the words after a
// pause would begin 30 dB too quiet.
func TestVoiceComesBackAfterSilence(t *testing.T) {
	for _, name := range []string{"20 ms", "20 ms, hybrid", "20 ms, CELT, stereo"} {
		c := clips[slices.IndexFunc(clips, func(c clip) bool { return c.name == name })]
		t.Run(name, func(t *testing.T) {
			path := c.encode(t)
			r, packets := readFile(t, path)
			out := write(t, r.Head(), func(w *Writer) {
				for i, p := range packets {
					at := int64(i * 960)
					if i%150 < 50 {
						w.Silence(at, 960)
					} else if _, err := w.Frame(at, p.payload); err != nil {
						t.Fatal(err)
					}
				}
				if err := w.Close(0); err != nil {
					t.Fatal(err)
				}
			})
			original := opusdec(t, path)
			compareAfterSilence(t, "opusdec", opusdec(t, out), original, r.Head().Channels)
			compareAfterSilence(t, "ffmpeg", ffmpeg(t, out), original, r.Head().Channels)
		})
	}
}

func compareAfterSilence(t *testing.T, name string, got, want []int16, channels int) {
	t.Helper()
	for i := 50; i+10 < len(want)/960/channels; i += 150 {
		from, to := (i+2)*960*channels, (i+10)*960*channels // 40 to 200 ms after the silence
		ratio := rms(got[from:to]) / rms(want[from:to])
		if ratio < 0.7 || ratio > 1.4 {
			t.Errorf("%s: after the silence at %d ms the voice has %.2f of its loudness", name, i*20, ratio)
		}
	}
}

func rms(samples []int16) float64 {
	sum := 1.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// TestShortFiles asks the tools about files that nearly are not there.
func TestShortFiles(t *testing.T) {
	voice := []byte{0xe0, 0xff, 0xfe} // 2.5 ms, shorter than the pre-skip
	for name, fill := range map[string]func(*Writer) error{
		"empty":        func(w *Writer) error { return w.Close(0) },
		"one frame":    func(w *Writer) error { w.Frame(0, voice); return w.Close(0) },
		"all trimmed":  func(w *Writer) error { w.Frame(0, voice); return w.Close(120) },
		"only silence": func(w *Writer) error { w.Silence(0, 48000); return w.Close(0) },
		"late":         func(w *Writer) error { w.Frame(96000, voice); return w.Close(60) },
	} {
		t.Run(name, func(t *testing.T) {
			var samples int64
			path := write(t, Head{Channels: 1, PreSkip: EncoderDelay}, func(w *Writer) {
				if err := fill(w); err != nil {
					t.Fatal(err)
				}
				samples = w.Samples()
			})
			checkClean(t, path)
			r, _ := readFile(t, path)
			if r.Samples() != samples || r.Samples()%frame.UnitSamples != 0 {
				t.Errorf("%d samples read, %d written", r.Samples(), samples)
			}
			if got := len(opusdec(t, path)); int64(got) != r.Length() {
				t.Errorf("%d samples, opusdec has %d", r.Length(), got)
			}
		})
	}
}
