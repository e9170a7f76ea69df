package recorder

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airloom/internal/recording"
)

// stoppedInTheMiddle records 700 of 1,200 frames, stops, and logs the rest.
func stoppedInTheMiddle(t *testing.T, r *region, dir string) *speaker {
	t.Helper()
	store := openStore(t, dir)
	rec, stop := r.recorder(quick(), store)
	s := r.speaker("hall")
	voice := speech(t, 1200)
	s.say(0, 0, voice[:700])
	until(t, "read", func() bool { return rec.metrics.frames.Load() == 700 })
	change(t, stop())
	s.say(0, 700, voice[700:])
	s.end(0, 1199)
	s.leave()
	return s
}

// Row 87: a damaged checkpoint makes a recorder skip nothing: it is moved away, and the log recorded from its beginning.
func TestRow87DamagedCheckpoint(t *testing.T) {
	position := func(data []byte) []byte { // 70 packs are recorded of 120
		return bytes.Replace(data, []byte(`"position": 70`), []byte(`"position": 90`), 1)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"a digit":   position,
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(data []byte) []byte { return data[:len(data)/2] },
		"null":      func([]byte) []byte { return []byte("null") },
		"its sum":   func(data []byte) []byte { return bytes.Replace(data, []byte(`"sha256": "`), []byte(`"sha256": "0`), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegion(t)
			dir := t.TempDir()
			stoppedInTheMiddle(t, r, dir)
			path := filepath.Join(dir, checkpointKey("eu"))
			data, err := os.ReadFile(path)
			change(t, err)
			broken := damage(bytes.Clone(data))
			if bytes.Equal(broken, data) {
				t.Fatalf("nothing is damaged:\n%s", data)
			}
			change(t, os.WriteFile(path, broken, 0o644))
			rec, _ := r.recorder(quick(), openStore(t, dir))
			if track := closed(t, dir, 1)[0].Tracks[0]; track.SHA256 != digest(speech(t, 1200)...) || track.Missing() != 0 {
				t.Errorf("%d frames, %d missing", track.Frames, track.Missing())
			}
			kept, err := os.ReadFile(filepath.Join(dir, "quarantine", checkpointKey("eu")))
			if err != nil || !bytes.Equal(kept, broken) || rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
				t.Errorf("%v, %d damaged, %d divergences", err, rec.metrics.damaged.Load(), rec.metrics.divergences.Load())
			}
		})
	}
}

// Row 87: with the checkpoint goes the knowledge of what is closed; what the log has forgotten of it is still in the store.
func TestRow87DamagedCheckpointOfAForgetfulLog(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	dir := t.TempDir()
	stoppedInTheMiddle(t, r, dir)
	forget(31) // frames 0–299 of the first segment
	change(t, os.WriteFile(filepath.Join(dir, checkpointKey("eu")), nil, 0o644))
	r.recorder(quick(), openStore(t, dir))
	if track := closed(t, dir, 1)[0].Tracks[0]; track.SHA256 != digest(speech(t, 1200)...) || track.Missing() != 0 {
		t.Errorf("%d frames, %d missing", track.Frames, track.Missing())
	}
}

// A checkpoint from before there was a sum in it is taken as it is; one of another version is told of in words, and stays.
func TestCheckpointsOfOtherBuilds(t *testing.T) {
	old, err := recording.Encode(checkpoint{Version: checkpointVersion, Region: "eu", Log: streamPoint{Position: 7}})
	change(t, err)
	before, _, ok := strings.Cut(string(old), ",\n  \"sha256\"")
	if !ok {
		t.Fatalf("%s", old)
	}
	if c, err := parseCheckpoint([]byte(before + "\n}\n")); err != nil || c.Log.Position != 7 {
		t.Errorf("%v, %+v", err, c)
	}
	later, err := checkpoint{Version: 9}.encode()
	change(t, err)
	later = bytes.Replace(later, []byte("{"), []byte(`{"more":1,`), 1)
	if _, err := parseCheckpoint(later); err == nil || !strings.Contains(fmt.Sprint(err), "damaged") {
		t.Errorf("a field that was put in: %v", err)
	}
	later, err = checkpoint{Version: 9}.encode()
	change(t, err)
	if _, err := parseCheckpoint(later); err == nil || strings.Contains(err.Error(), "%!") || !strings.Contains(err.Error(), "version 9") {
		t.Errorf("%v", err)
	}
}

func FuzzCheckpoint(f *testing.F) {
	good, err := checkpoint{Version: checkpointVersion, Region: "eu"}.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"sha256":"x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := parseCheckpoint(data); (err == nil) != (c != nil) {
			t.Fatalf("%v, %v", err, c)
		}
	})
}
