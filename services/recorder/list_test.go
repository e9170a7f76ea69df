package recorder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/blob"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/subject"
)

// crowd is a store whose first manifests are read only when so many are being read at the same time.
type crowd struct {
	*blob.Store
	together int

	mu                  sync.Mutex
	inside, most, reads int
	full                chan struct{}
}

func (c *crowd) Get(ctx context.Context, key string) ([]byte, error) {
	if !strings.HasPrefix(key, recording.Root) {
		return c.Store.Get(ctx, key)
	}
	c.mu.Lock()
	c.inside++
	c.reads++
	c.most = max(c.most, c.inside)
	if c.reads == c.together {
		close(c.full)
	}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inside--
	}()
	select {
	case <-c.full:
		return c.Store.Get(ctx, key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c *crowd) read() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

// shelf writes manifests of closed recordings as a recorder leaves them, every tenth one of room "attic".
func shelf(t *testing.T, dir string, count int) {
	t.Helper()
	for i := range count {
		id, name := fmt.Sprintf("20261120-%06d000-eu-%d", i, i+1), "hall"
		if i%10 == 0 {
			name = "attic"
		}
		m := recording.Manifest{
			Version: recording.ManifestVersion, Recording: id, Room: name, State: recording.Closed, Started: time.Unix(int64(1_800_000_000+i), 0).UTC(),
			Tracks: []recording.Track{{Track: "aaaaaai", Frames: 10}},
		}
		data, err := recording.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.FromSlash(recording.ManifestKey(id)))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestListReadsSideBySideAndRemembers(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	shelf(t, dir, 500)
	store := &crowd{Store: openStore(t, dir), together: 16, full: make(chan struct{})}
	rec, _ := r.recorder(quick(), store)
	until(t, "ready", rec.Ready)
	var list query.Recordings
	until(t, "answered", func() bool { return r.ask(subject.RecorderList, query.RecordingsQuestion{}, &list) == nil })
	if len(list.Recordings) != 500 || list.More || list.Recordings[0].Recording != "20261120-000499000-eu-500" {
		t.Fatalf("%d recordings, more %v", len(list.Recordings), list.More)
	}
	if reads := store.read(); store.most != 16 || reads != 500 {
		t.Errorf("%d read, %d at the same time", reads, store.most)
	}
	if err := r.ask(subject.RecorderList, query.RecordingsQuestion{Room: "attic", After: list.Recordings[99].Recording}, &list); err != nil || len(list.Recordings) != 40 {
		t.Errorf("%d recordings, %v", len(list.Recordings), err)
	}
	if store.read() != 500 {
		t.Error("closed recordings were read again")
	}
}

func TestRememberedSummariesAreBounded(t *testing.T) {
	s := newSummaries(100)
	for i := range 1000 {
		one := &query.Recording{Recording: fmt.Sprint(i), Tracks: make([]query.RecordedTrack, i%7)}
		s.put(one.Recording, one)
		s.put(one.Recording, one) // by two requests
		if s.get(one.Recording) != one {
			t.Fatal("what was just read is forgotten")
		}
		size := 0
		for _, one := range s.by {
			size += 1 + len(one.Tracks)
		}
		if size != s.size || size > 100 {
			t.Fatalf("size %d, counted %d", s.size, size)
		}
	}
}

// A store in which nothing can be read makes no endless answer.
func TestListNamesFewDamaged(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	shelf(t, dir, named+50)
	paths, err := filepath.Glob(filepath.Join(dir, "recordings", "*", "manifest.json"))
	change(t, err)
	for _, path := range paths[1:] {
		change(t, os.Truncate(path, 10))
	}
	rec, _ := r.recorder(quick(), openStore(t, dir))
	until(t, "ready", rec.Ready)
	var list query.Recordings
	until(t, "answered", func() bool { return r.ask(subject.RecorderList, query.RecordingsQuestion{}, &list) == nil })
	if len(list.Damaged) != named || len(list.Recordings) != 1 || list.More {
		t.Errorf("%d damaged, %d recordings, more %v", len(list.Damaged), len(list.Recordings), list.More)
	}
}
