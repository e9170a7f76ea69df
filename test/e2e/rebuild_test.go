package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airloom/internal/query"
)

// Row 87: a recording whose files were damaged and lost in the store is made again, byte for byte, from the log.
func TestRow87RecordingRebuild(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{users: true})[0].url())
	f.users = true
	f.initLog()
	f.presence()
	edge := f.edge()
	f.recorder()
	var said published
	play(t, nil, "publish", "--url", edge.url, "--room", "hall", "--name", "speaker", "--rate", "max", speechOpus).end(t, 60*time.Second, &said)
	m := recordedWhole(t, edge.url, said)
	dir := filepath.Join(f.blob, "recordings", m.Recording)
	before := contents(t, dir)
	segment := filepath.Join(dir, "segments", said.Track, "0-1.seg")
	for _, path := range []string{segment, filepath.Join(dir, "manifest.json")} {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 4
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(dir, said.Track+".opus")); err != nil {
		t.Fatal(err)
	}
	report := func(code int, args ...string) (r query.Rebuild) {
		t.Helper()
		got := f.cli(append([]string{"recording", "--url", edge.url, "rebuild", m.Recording, "--json"}, args...)...)
		if err := json.Unmarshal([]byte(got.out), &r); err != nil || got.code != code {
			t.Fatalf("exit %d, want %d: %v\n%s%s", got.code, code, err, got.out, got.errs)
		}
		return r
	}
	if r := report(1, "--dry-run"); r.Missing != 1 || r.Damaged != 2 || r.PutBack != 0 {
		t.Errorf("dry run: %+v", r)
	}
	if r := report(0); r.Missing != 1 || r.Damaged != 2 || r.PutBack != 3 || r.Lost != 0 {
		t.Errorf("%+v", r)
	}
	after := contents(t, dir)
	for path, data := range before {
		if after[path] != data {
			t.Errorf("%s is not as it was", path)
		}
	}
	if kept := files(t, filepath.Join(f.blob, "quarantine")); len(kept) != 2 {
		t.Errorf("in quarantine: %v", kept)
	}
	f.cli("recording", "--url", edge.url, "verify", m.Recording).ok()
	if got := f.cli("recording", "--url", edge.url, "rebuild", "20200101-000000000-local-000001"); got.code == 0 || !strings.Contains(got.errs, "no such recording") {
		t.Errorf("unknown: exit %d: %s", got.code, got.errs)
	}
}

func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, path := range files(t, dir) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(data)
	}
	return all
}
