package media

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/ogg"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// made has ffmpeg make a file of a test tone.
func made(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args = append([]string{"-v", "error", "-f", "lavfi"}, append(args, path)...)
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, out)
	}
	return path
}

func tone(t *testing.T, name string, args ...string) string {
	t.Helper()
	return made(t, name, append([]string{"-i", "sine=frequency=300:duration=1"}, args...)...)
}

type heard struct {
	frames, silent, samples int
	digest                  string
}

func readAll(t *testing.T, s *Source) heard {
	t.Helper()
	var h heard
	d := frame.NewDigest()
	for {
		f, err := s.Next()
		if err == io.EOF {
			h.digest = d.Sum()
			return h
		}
		if err != nil {
			t.Fatal(err)
		}
		h.samples += f.Samples
		if f.Payload == nil {
			h.silent++
			continue
		}
		h.frames++
		d.Add(f.Payload)
	}
}

func TestOggOpusIsReadAsItIs(t *testing.T) {
	path := tone(t, "tone.opus", "-c:a", "libopus", "-frame_duration", "10")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := ogg.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	want, n := frame.NewDigest(), 0
	for {
		packet, err := reader.Next()
		if err != nil {
			break
		}
		want.Add(packet.Payload)
		n++
	}
	for _, from := range []string{path, Stdin} {
		s, err := Open(t.Context(), from, bytes.NewReader(content), Options{FFmpeg: "/nonexistent"})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got := readAll(t, s); got.digest != want.Sum() || got.frames != n || s.Encoded() {
			t.Errorf("%s: %d frames, want %d with the same digest", from, got.frames, n)
		}
		if s.FrameMS() != 10 || s.Channels() != 1 {
			t.Errorf("%s: frames of %g ms, %d channels", from, s.FrameMS(), s.Channels())
		}
	}
}

func TestOtherFormatsGoThroughFFmpeg(t *testing.T) {
	for _, name := range []string{"tone.wav", "tone.mp3", "tone.flac", "-tone.wav", "a:tone.wav"} {
		path := tone(t, name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{path, Stdin} {
			s, err := Open(t.Context(), from, bytes.NewReader(content), Options{})
			if err != nil {
				t.Fatalf("%s from %s: %v", name, from, err)
			}
			if got := readAll(t, s); got.samples < 48000 || got.samples > 48000+3*2400 || !s.Encoded() || s.FrameMS() != 20 {
				t.Errorf("%s from %s: %d samples in frames of %g ms, want a second", name, from, got.samples, s.FrameMS())
			}
			s.Close()
		}
	}
}

func TestOptionsReachTheEncoder(t *testing.T) {
	path := tone(t, "tone.opus", "-c:a", "libopus")
	s, err := Open(t.Context(), path, nil, Options{Transcode: true, Music: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Channels() != 2 || !s.Encoded() {
		t.Errorf("%d channels, encoded %v, want stereo from the encoder", s.Channels(), s.Encoded())
	}
}

// Row 90: what is no sound, or lies about what it is, is refused with the reason.
func TestRow90WhatIsNoSound(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	opus, err := os.ReadFile(tone(t, "tone.opus", "-c:a", "libopus"))
	if err != nil {
		t.Fatal(err)
	}
	hugeWAV := append([]byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00data\xff\xff\xff\xff"), 1, 2, 3)
	for name, c := range map[string]struct {
		path string
		want error
		text string
	}{
		"text":          {write("a.txt", []byte("no sound in here\n")), ErrNotAudio, "ffmpeg says"},
		"empty":         {write("empty.wav", nil), ErrNotAudio, "empty"},
		"folder":        {dir, ErrNotAudio, "directory"},
		"missing":       {filepath.Join(dir, "none.wav"), fs.ErrNotExist, "none.wav"},
		"wrong magic":   {write("fake.opus", []byte("OggSnonsense that goes on for a while")), ErrNotAudio, ""},
		"cut headers":   {write("cut.opus", opus[:60]), ErrNotAudio, ""},
		"sample rate 0": {write("huge.wav", hugeWAV), ErrNotAudio, ""},
		"no sound":      {made(t, "video.mkv", "-i", "testsrc=duration=0.2:size=32x32:rate=5"), ErrNotAudio, "ffmpeg says"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), c.path, nil, Options{})
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

func TestNoFFmpeg(t *testing.T) {
	path := tone(t, "tone.wav")
	if _, err := Open(t.Context(), path, nil, Options{FFmpeg: "/nonexistent/ffmpeg"}); !errors.Is(err, ErrNoFFmpeg) {
		t.Errorf("got %v", err)
	}
}

// A pipe that stays open does not keep a Source from being closed.
func TestCloseWhileThePipeIsOpen(t *testing.T) {
	content, err := os.ReadFile(tone(t, "tone.wav"))
	if err != nil {
		t.Fatal(err)
	}
	in, feed := io.Pipe()
	go func() { _, _ = feed.Write(content) }()
	defer feed.Close()
	ctx, cancel := context.WithCancel(t.Context())
	s := make(chan *Source, 1)
	go func() {
		opened, err := Open(ctx, Stdin, in, Options{})
		if err == nil {
			opened.Close()
		}
		s <- opened
	}()
	cancel()
	<-s
}

func TestVoice(t *testing.T) {
	for name, c := range map[string]struct {
		source string
		voice  bool
	}{
		"loud":  {"sine=frequency=300:duration=1", true},
		"quiet": {"sine=frequency=300:duration=1,volume=-70dB", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Open(t.Context(), made(t, "sound.opus", "-i", c.source, "-c:a", "libopus"), nil, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			v, err := NewVoice()
			if err != nil {
				t.Fatal(err)
			}
			heard := 0
			n := 0
			for {
				f, err := s.Next()
				if err != nil {
					break
				}
				if v.Heard(f.Payload) {
					heard++
				}
				n++
			}
			if c.voice != (heard > n*8/10) || !c.voice && heard > 0 {
				t.Errorf("a voice in %d of %d frames", heard, n)
			}
			for range 20 {
				v.Heard(nil)
			}
			if v.Heard(nil) {
				t.Error("a voice goes on in silence")
			}
		})
	}
}
