package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airloom/internal/query"
	"airloom/internal/recording"
)

// waitClosed waits until a room has a closed recording.
func waitClosed(t *testing.T, url, room string) query.Recording {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		r := airloom(t, "recording", "list", "--url", url, "--room", room, "--json")
		if r.code == exitOK {
			list := decodeJSON[query.Recordings](t, r)
			if len(list.Recordings) == 1 && list.Recordings[0].State == "closed" {
				return list.Recordings[0]
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no recording of %s is closed: %q %q", room, r.out, r.errs)
		}
	}
}

// What was published is listed, fetched, verified and exported; damage is named.
func TestRecordingFromEndToEnd(t *testing.T) {
	url := startUp(t)
	file := opusFile(t, "12")
	sent := airloom(t, "publish", "--url", url, "--room", "hall", "--name", "Ada", "--rate", "max", "--json", file)
	if sent.code != exitOK {
		t.Fatal(sent.errs)
	}
	published := decodeJSON[struct {
		SHA256 string  `json:"sha256"`
		Frames int64   `json:"frames"`
		Track  string  `json:"track"`
		Second float64 `json:"seconds"`
	}](t, sent)
	listed := waitClosed(t, url, "hall")
	if len(listed.Tracks) != 1 || listed.Tracks[0].Frames != published.Frames || listed.Tracks[0].Missing != 0 {
		t.Fatalf("%+v, published %+v", listed, published)
	}
	if r := airloom(t, "recording", "list", "--url", url); r.code != exitOK || !strings.Contains(r.out, listed.Recording) {
		t.Errorf("%q %q", r.out, r.errs)
	}
	dir := filepath.Join(t.TempDir(), "got")
	for range 2 { // a second time changes nothing
		if r := airloom(t, "recording", "get", "--url", url, listed.Recording, "-o", dir); r.code != exitOK {
			t.Fatal(r.errs)
		}
	}
	var m recording.Manifest
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil || json.Unmarshal(data, &m) != nil {
		t.Fatal(err)
	}
	if m.Tracks[0].SHA256 != published.SHA256 || m.Tracks[0].Participant != "Ada" {
		t.Errorf("%+v, published %+v", m.Tracks[0], published)
	}
	for _, what := range []string{listed.Recording, dir} {
		if r := airloom(t, "recording", "verify", "--url", url, what); r.code != exitOK || !strings.Contains(r.out, "verified") {
			t.Errorf("verify %s: %d %q %q", what, r.code, r.out, r.errs)
		}
	}
	exports(t, dir)
	damage(t, dir, filepath.Join(dir, m.Tracks[0].File))
}

func exports(t *testing.T, dir string) {
	t.Helper()
	out := t.TempDir()
	for _, c := range []struct{ format, to, codec string }{
		{"opus", filepath.Join(out, "tracks"), "opus"}, {"wav", filepath.Join(out, "tracks"), "pcm_s16le"}, {"flac", filepath.Join(out, "one.flac"), "flac"},
		{"mix", filepath.Join(out, "mix.wav"), "pcm_s16le"}, {"mix", filepath.Join(out, "mix.opus"), "opus"},
	} {
		r := airloom(t, "recording", "export", dir, "--format", c.format, "-o", c.to, "--json")
		if r.code != exitOK {
			t.Errorf("export %s: %s", c.format, r.errs)
			continue
		}
		made := decodeJSON[exported](t, r)
		if len(made.Files) != 1 {
			t.Fatalf("%+v", made)
		}
		probe, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=codec_name:format=duration", "-of", "csv=p=0", made.Files[0]).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(probe), c.codec+"\n12.0") && !strings.HasPrefix(string(probe), c.codec+"\n11.99") {
			t.Errorf("export %s: %q %v", c.format, probe, err)
		}
		if again := airloom(t, "recording", "export", dir, "--format", c.format, "-o", c.to); c.format != "opus" && again.code == exitOK {
			t.Errorf("export %s overwrote its file", c.format)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if r := airloom(t, "recording", "export", dir, "--format", "wav", "-o", out); r.code != exitFailed || !strings.Contains(r.errs, "ffmpeg") {
		t.Errorf("without ffmpeg: %d %q", r.code, r.errs)
	}
}

func damage(t *testing.T, dir, file string) {
	t.Helper()
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, bad := range map[string][]byte{"cut": good[:len(good)/2], "flipped": flipped, "empty": nil} {
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		r := airloom(t, "recording", "verify", dir)
		if r.code != exitFailed || !strings.Contains(r.out, "WRONG  track ") {
			t.Errorf("%s: %d %q %q", name, r.code, r.out, r.errs)
		}
	}
}

func TestRecordingBadInput(t *testing.T) {
	for _, args := range [][]string{
		{"get", "../x"}, {"get", "A"}, {"verify", "no/such/dir"}, {"export", "x", "--format", "mp3", "-o", "y"}, {"export", "x", "--format", "mix", "-o", "dir"},
		{"list", "--room", "A.B"}, {"rebuild"},
	} {
		if r := airloom(t, append([]string{"recording"}, args...)...); r.code != exitUsage || r.errs == "" {
			t.Errorf("%v: %d %q", args, r.code, r.errs)
		}
	}
}
