package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airloom/internal/recording"
)

// A recording is fetched and proven far from where it was made, with the public key alone; one bit of it turned is named, and so is a
// key that did not sign.
func TestProofOfARecording(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	_, url := up(t, data, "127.0.0.1:0")
	said := publish(t, url, "town-hall", "--rate", "max", speechOpus) // 30 s: four segments
	m := recordedWhole(t, url, said)
	track := m.Tracks[0].Track
	key := filepath.Join(data, "recorder.key.pub")
	eventually(t, 10*time.Second, "it is signed", func() bool {
		var got struct{ Files []string }
		_, err := get(url, "", "/v1/recordings/"+m.Recording+"/files", &got)
		return err == nil && strings.Contains(strings.Join(got.Files, " "), ".sig")
	})
	run(t, nil, "recording", "--url", url, "verify", m.Recording, "--key", key, "--segments").ok().says("4 segments", "signed by", "verified")
	copied := filepath.Join(t.TempDir(), "copy")
	for range 2 { // a second time changes nothing
		run(t, nil, "recording", "--url", url, "get", m.Recording, "-o", copied, "--segments").ok()
	}
	offline := []string{"AIRLOOM_URL=http://127.0.0.1:9"} // nobody there: a folder needs nobody
	verify := func(args ...string) *result {
		t.Helper()
		return run(t, offline, append([]string{"recording", "verify", copied}, args...)...)
	}
	verify("--key", key).ok().says("4 segments", "signed by", "verified")
	verify().ok().says("who that is was not checked", "verified")

	foreign := filepath.Join(t.TempDir(), "foreign.key")
	run(t, nil, "key", foreign).ok()
	verify("--key", foreign+".pub").says("foreign key").fails("not proven")
	verify("--key", foreign+".pub", "--key", key).ok()
	verify("--key", filepath.Join(data, "nothing.pub")).fails("nothing.pub", "recorder.key.pub")

	segment := filepath.Join(copied, filepath.FromSlash(recording.SegmentFile(track, 0, 2)))
	for _, path := range []string{segment, filepath.Join(copied, track+".opus")} {
		restore := flipped(t, path)
		r := verify("--key", key, "--json")
		var report recording.Report
		r.decode(&report)
		r.fails("not proven")
		first := report.FirstBroken
		if first == nil || first.Track != track || path == segment && (first.N != 2 || first.From != 1000 || first.To != 1499) {
			t.Errorf("%s: first broken %+v", path, first)
		}
		verify("--key", key).says("WRONG", "FIRST BROKEN  track "+track+": segment 0-").fails("not proven")
		restore()
	}
	if err := os.Remove(segment); err != nil {
		t.Fatal(err)
	}
	verify().says("segment 0-2 (seqs 1000-1499, 00:20.00-00:30.00): its file is missing").fails("not proven")

	damaged(t, url, filepath.Join(data, "recordings", "recordings"), m.Recording)
}

// damaged spoils a manifest in the store: the list goes on, and what else there is of the recording can be had.
func damaged(t *testing.T, url, store, id string) {
	t.Helper()
	const other = "20260101-000000000-local-000001" // nobody remembers how it was
	for _, one := range []string{id, other} {
		manifest := filepath.Join(store, one, recording.ManifestFile)
		if err := os.MkdirAll(filepath.Dir(manifest), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(manifest, []byte(`{"version": 1`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list := run(t, nil, "recording", "--url", url, "list").ok()
	if !strings.Contains(list.errs, other+": its manifest is damaged") || strings.Contains(list.out, other) {
		t.Errorf("%s%s", list.out, list.errs)
	}
	dir := filepath.Join(t.TempDir(), "salvaged")
	run(t, nil, "recording", "--url", url, "get", id, "-o", dir).fails("manifest.json", "as they are")
	if sounds, _ := filepath.Glob(filepath.Join(dir, "*.opus")); len(sounds) != 1 {
		t.Errorf("%v", sounds)
	}
	run(t, nil, "recording", "verify", dir).says("manifest.json cannot be read").fails("not proven")
}

// flipped turns one bit in the middle of a file; restore puts it back.
func flipped(t *testing.T, path string) (restore func()) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b[len(b)/2] ^= 1
	write()
	return func() { b[len(b)/2] ^= 1; write() }
}

// says expects words on stdout.
func (r *result) says(words ...string) *result {
	r.t.Helper()
	for _, word := range words {
		if !strings.Contains(r.out, word) {
			r.t.Errorf("airloom %s: nothing of %q in:\n%s", strings.Join(r.args, " "), word, r.out)
		}
	}
	return r
}
