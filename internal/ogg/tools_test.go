package ogg

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real thing: speech from Debian, encoded and decoded by the tools that people use. What is missing is a failure,
// because a test that is skipped shows nothing.
const speech = "/usr/share/asterisk/sounds/en_US_f_Allison/vm-options.wav" // 16 s, a woman's voice, 8 kHz

var debian = map[string]string{
	"opusenc": "opus-tools", "opusdec": "opus-tools", "opusinfo": "opus-tools",
	"oggz-validate": "oggz-tools", "ffmpeg": "ffmpeg", "ffprobe": "ffmpeg",
}

// run runs a tool and returns what it said on stdout and stderr.
func run(t *testing.T, name string, args ...string) (out, said []byte) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: apt-get install %s", err, debian[name])
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stderr.Bytes(), head(stdout.Bytes()))
	}
	return stdout.Bytes(), stderr.Bytes()
}

func head(b []byte) []byte { return b[:min(len(b), 2000)] }

// clip is real Opus made of the speech.
type clip struct {
	name string
	tool string
	args []string
}

var clips = []clip{
	{"2.5 ms", "opusenc", []string{"--framesize", "2.5", "--bitrate", "64"}},
	{"5 ms", "opusenc", []string{"--framesize", "5", "--bitrate", "48"}},
	{"10 ms, a page each", "opusenc", []string{"--framesize", "10", "--bitrate", "24", "--max-delay", "0"}},
	{"20 ms", "opusenc", []string{"--framesize", "20", "--bitrate", "24"}},
	{"20 ms, constant rate", "opusenc", []string{"--framesize", "20", "--hard-cbr", "--bitrate", "32"}},
	{"40 ms", "opusenc", []string{"--framesize", "40", "--bitrate", "24"}},
	{"60 ms, big tags", "opusenc", []string{"--framesize", "60", "--bitrate", "16", "--comment", "NOTE=" + strings.Repeat("long ", 20_000)}},
	{"20 ms, hybrid", "ffmpeg", []string{"-ar", "48000", "-b:a", "32k", "-application", "voip"}},
	{"20 ms, CELT, stereo", "ffmpeg", []string{"-ar", "48000", "-ac", "2", "-b:a", "128k", "-application", "lowdelay"}},
	{"60 ms, stereo", "ffmpeg", []string{"-ar", "48000", "-ac", "2", "-b:a", "64k", "-frame_duration", "60"}},
}

// made is where clips are kept for the tests after the one that first needs them.
var made string

func TestMain(m *testing.M) {
	var err error
	if made, err = os.MkdirTemp("", "ogg"); err != nil {
		panic(err)
	}
	code := m.Run()
	os.RemoveAll(made)
	os.Exit(code)
}

func (c clip) encode(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(made, c.name+".opus")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if _, err := os.Stat(speech); err != nil {
		t.Fatalf("%v: apt-get install asterisk-core-sounds-en-wav", err)
	}
	if c.tool == "opusenc" {
		run(t, "opusenc", append(append([]string{"--quiet"}, c.args...), speech, path)...)
		return path
	}
	args := append([]string{"-v", "error", "-i", speech, "-c:a", "libopus"}, c.args...)
	run(t, "ffmpeg", append(args, path)...)
	return path
}

// eachClip runs a test for every clip.
func eachClip(t *testing.T, test func(t *testing.T, path string)) {
	for _, c := range clips {
		t.Run(c.name, func(t *testing.T) { test(t, c.encode(t)) })
	}
}

// copied is a packet that outlives the next call of Next.
type copied struct {
	payload []byte
	samples int
}

func readAll(t testing.TB, in io.Reader) (*Reader, []copied) {
	t.Helper()
	r, err := NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	var packets []copied
	for {
		p, err := r.Next()
		if err == io.EOF {
			return r, packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, copied{bytes.Clone(p.Payload), p.Samples})
	}
}

func readFile(t testing.TB, path string) (*Reader, []copied) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return readAll(t, bytes.NewReader(b))
}

// checkClean fails on the least complaint of the checking tools.
func checkClean(t *testing.T, path string) {
	t.Helper()
	out, said := run(t, "opusinfo", path)
	for _, bad := range []string{"WARNING", "ERROR", "rror", "arning"} {
		if strings.Contains(string(out)+string(said), bad) {
			t.Errorf("opusinfo:\n%s%s", out, said)
			break
		}
	}
	if out, said := run(t, "oggz-validate", path); len(out)+len(said) > 0 {
		t.Errorf("oggz-validate:\n%s%s", out, said)
	}
	if _, said := run(t, "ffprobe", "-v", "warning", "-show_packets", path); len(said) > 0 {
		t.Errorf("ffprobe:\n%s", said)
	}
}

// opusdec and ffmpeg decode to 48 kHz, interleaved.
func opusdec(t *testing.T, path string) []int16 {
	t.Helper()
	out, _ := run(t, "opusdec", "--quiet", "--no-dither", "--rate", "48000", path, "-")
	const wavHeader = 44
	if bytes.HasPrefix(out, []byte("RIFF")) {
		out = out[wavHeader:]
	}
	return pcm(out)
}

func ffmpeg(t *testing.T, path string) []int16 {
	t.Helper()
	out, said := run(t, "ffmpeg", "-v", "warning", "-i", path, "-f", "s16le", "-")
	if len(said) > 0 {
		t.Errorf("ffmpeg: %s", said)
	}
	return pcm(out)
}

func pcm(b []byte) []int16 {
	samples := make([]int16, len(b)/2)
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return samples
}
