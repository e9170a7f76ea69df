package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"airloom/internal/blob"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func stores(t *testing.T, test func(*testing.T, *blob.Store)) {
	for _, kind := range []struct{ name, url string }{
		{"path", filepath.Join(t.TempDir(), "a", "b")}, {"file", "file://" + t.TempDir()}, {"mem", "mem://"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s, err := blob.Open(t.Context(), kind.url)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			test(t, s)
		})
	}
}

func TestFirstWriterWins(t *testing.T) {
	stores(t, func(t *testing.T, s *blob.Store) {
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { errs[i] = s.PutNew(t.Context(), "x/y.seg", fmt.Appendf(nil, "writer %d", i)) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won >= 0:
				t.Fatalf("both %d and %d were first", won, i)
			case err == nil:
				won = i
			case !errors.Is(err, blob.ErrExists):
				t.Fatal(err)
			}
		}
		if got, err := s.Get(t.Context(), "x/y.seg"); err != nil || string(got) != fmt.Sprintf("writer %d", won) {
			t.Fatalf("got %q, %v; writer %d won", got, err, won)
		}
	})
}

func TestObjectsWholeOrNotAtAll(t *testing.T) {
	stores(t, func(t *testing.T, s *blob.Store) {
		w, err := s.Create(t.Context(), "r/a.opus")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte("half"))
		if _, err := s.Get(t.Context(), "r/a.opus"); !errors.Is(err, blob.ErrNotExist) {
			t.Fatalf("before Commit: %v", err)
		}
		w.Abort()
		if _, err := s.Get(t.Context(), "r/a.opus"); !errors.Is(err, blob.ErrNotExist) {
			t.Fatalf("after Abort: %v", err)
		}
	})
}

func TestReadListReplaceDelete(t *testing.T) {
	stores(t, func(t *testing.T, s *blob.Store) {
		ctx := t.Context()
		for _, key := range []string{"r/a/m.json", "r/b/m.json", "r/c.json", "q/x"} {
			if err := errors.Join(s.Put(ctx, key, []byte("old")), s.Put(ctx, key, []byte("0123456789"))); err != nil {
				t.Fatal(err)
			}
		}
		var keys []string
		for o, err := range s.List(ctx, "r/") {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, o.Key)
		}
		if got := strings.Join(keys, " "); got != "r/a/ r/b/ r/c.json" {
			t.Fatalf("listed %s", got)
		}
		for _, c := range []struct {
			offset, length int64
			want           string
		}{{0, 4, "0123"}, {8, 100, "89"}, {10, 1, ""}, {99, 1, ""}} {
			got, size, err := s.ReadAt(ctx, "q/x", c.offset, c.length)
			if err != nil || string(got) != c.want || size != 10 {
				t.Fatalf("ReadAt(%d, %d) = %q, %d, %v", c.offset, c.length, got, size, err)
			}
		}
		if err := errors.Join(s.Delete(ctx, "q/x"), s.Delete(ctx, "q/x")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.ReadAt(ctx, "q/x", 0, 1); !errors.Is(err, blob.ErrNotExist) {
			t.Fatal(err)
		}
	})
}

func TestKeysStayInTheFolder(t *testing.T) {
	dir := t.TempDir()
	s, err := blob.Open(t.Context(), filepath.Join(dir, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, key := range []string{"", "../x", "/etc/x", "a/../../x", `..\x`} {
		if err := s.Put(t.Context(), key, []byte("x")); err == nil {
			t.Errorf("key %q was taken", key)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err == nil {
		t.Error("written outside")
	}
}

func TestStoresThatDoNotExist(t *testing.T) {
	for _, where := range []string{"gs://bucket", "ftp://x", "", "://"} {
		if s, err := blob.Open(context.Background(), where); err == nil {
			s.Close()
			t.Errorf("opened %q", where)
		}
	}
}

func TestStreamed(t *testing.T) {
	stores(t, func(t *testing.T, s *blob.Store) {
		w, err := s.Create(t.Context(), "big")
		if err != nil {
			t.Fatal(err)
		}
		piece := bytes.Repeat([]byte("abc"), 10000)
		for range 50 {
			if _, err := w.Write(piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if _, size, err := s.ReadAt(t.Context(), "big", 0, 1); err != nil || size != 1500000 {
			t.Fatal(size, err)
		}
	})
}
