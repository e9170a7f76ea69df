package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airloom/internal/recording"
)

// Row 91: a recorder refuses to start with a key that is none, and says which and what to do.
func TestRow91TheRecordersKey(t *testing.T) {
	dir, text := t.TempDir(), textFile(t)
	key := filepath.Join(dir, "recorder.key")
	if r := airloom(t, "key", key); r.code != exitOK {
		t.Fatal(r.errs)
	}
	for path, words := range map[string][]string{
		filepath.Join(dir, "nothing"): {"nothing", "airloom key FILE"},
		key + ".pub":                  {"recorder.key.pub", "it is a public key"},
		text:                          {"notes.txt", "no PEM block"},
		dir:                           {"load key"},
	} {
		for _, how := range []string{"flag", "variable"} {
			args := []string{"recorder", "--nats", "nats://" + closedPort(t), "--blob", dir}
			if how == "flag" {
				args = append(args, "--key", path)
			} else {
				t.Setenv("AIRLOOM_RECORDER_KEY", path)
			}
			r := airloom(t, args...)
			for _, word := range words {
				if r.code != exitFailed || !strings.Contains(r.errs, word) {
					t.Errorf("%s by %s: %d %q, want %q", path, how, r.code, r.errs, word)
				}
			}
			os.Unsetenv("AIRLOOM_RECORDER_KEY")
		}
	}
}

// What is no recording is named, whatever lies there, and never a crash.
func TestVerifyOfWhatIsNoRecording(t *testing.T) {
	key, text := filepath.Join(t.TempDir(), "k"), textFile(t)
	if r := airloom(t, "key", key); r.code != exitOK {
		t.Fatal(r.errs)
	}
	for manifest, words := range map[string]string{
		"":                           "cannot be read",
		"not JSON":                   "cannot be read",
		"null":                       "version 0",
		`{"version":1}`:              "still",
		`[{"version":1}]`:            "cannot be read",
		`{"version":1,"tracks":7}`:   "cannot be read",
		`{"version":99}`:             "version 99",
		strings.Repeat("[", 100_000): "cannot be read",
		`{"version":1,"state":"closed","tracks":[{"track":"../../x","file":"../../etc/passwd","state":"closed"}]}`: "not a track's id",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, recording.ManifestFile), []byte(manifest), 0o600); err != nil {
			t.Fatal(err)
		}
		r := airloom(t, "recording", "verify", dir, "--key", key+".pub")
		if r.code != exitFailed || !strings.Contains(r.out, words) || !strings.Contains(r.out, "did not sign") {
			t.Errorf("%.40q: %d %q %q", manifest, r.code, r.out, r.errs)
		}
		report := decodeJSON[recording.Report](t, airloom(t, "recording", "verify", dir, "--json"))
		if report.Count() == 0 || report.FirstBroken != nil {
			t.Errorf("%.40q: %+v", manifest, report)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{t.TempDir()}, "recording get ID"}, {[]string{t.TempDir(), "--key", text}, "no PEM block"}, {[]string{t.TempDir(), "--key", text + "x"}, "recorder.key.pub"},
	} {
		if r := airloom(t, append([]string{"recording", "verify"}, c.args...)...); r.code != exitFailed || !strings.Contains(r.errs, c.says) {
			t.Errorf("%v: %d %q, want %q", c.args, r.code, r.errs, c.says)
		}
	}
}

// An edge that gives another recording than the one that was asked for is not believed, however well that one is signed.
func TestAnotherRecordingIsNotFetched(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, recording.ManifestFile), []byte(`{"version":1,"recording":"other"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for id, good := range map[string]bool{"": true, "other": true, "mine": false} {
		from := recordingSource{p: &program{ctx: t.Context()}, dir: dir, id: id}
		if _, err := from.manifest(); (err == nil) != good {
			t.Errorf("asked for %q: %v", id, err)
		}
	}
}
