package blob

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"airloom/internal/blob/s3test"
)

func openS3(t *testing.T, where string) *Store {
	t.Helper()
	s, err := Open(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Of several writers of one key on a real S3 server one wins, also where the object goes up in parts.
func TestS3PutIfAbsent(t *testing.T) {
	server := s3test.Start(t)
	stores := []*Store{openS3(t, server.URL()), openS3(t, server.URL())}
	for _, size := range []int{100, 12 << 20} {
		key := fmt.Sprintf("recordings/r/%d.opus", size)
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []byte
		wins := 0
		for i := range 4 {
			wg.Go(func() {
				data := bytes.Repeat([]byte{byte('a' + i)}, size)
				err := stores[i%2].PutNew(t.Context(), key, data)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					wins, won = wins+1, data
				case !errors.Is(err, ErrExists):
					t.Errorf("%d bytes: %v", size, err)
				}
			})
		}
		wg.Wait()
		got, err := stores[0].Get(t.Context(), key)
		if wins != 1 || err != nil || !bytes.Equal(got, won) {
			t.Errorf("%d bytes: %d won; what is there is the winner's: %v, %v", size, wins, bytes.Equal(got, won), err)
		}
	}
}

// A server that refuses a taken key before it has read the body may cut the connection, and its answer with it.
func TestS3TakenKeyIsKnownWithoutTheAnswer(t *testing.T) {
	server := s3test.Start(t)
	proxy := s3test.Before(server)
	s := openS3(t, proxy.URL())
	proxy.Fail(func(r *http.Request) s3test.Fault {
		if r.Method == http.MethodPut {
			return s3test.Cut
		}
		return s3test.None
	})
	data := make([]byte, 1<<20)
	if err := s.PutNew(t.Context(), "a/b", data); err == nil || errors.Is(err, ErrExists) {
		t.Errorf("cut, and nothing there: %v", err)
	}
	if err := openS3(t, server.URL()).Put(t.Context(), "a/b", data); err != nil {
		t.Fatal(err)
	}
	if err := s.PutNew(t.Context(), "a/b", data); !errors.Is(err, ErrExists) {
		t.Errorf("cut, and taken: %v", err)
	}
	proxy.Fail(nil)
}

// All that a recorder asks of a store, of a real S3 server.
func TestS3(t *testing.T) {
	server := s3test.Start(t)
	s := openS3(t, server.URL()+"&prefix=eu/")
	ctx := t.Context()
	if _, err := s.Get(ctx, "a/b"); !errors.Is(err, ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	w, err := s.Create(ctx, "a/aborted")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	w.Abort()
	for _, body := range []string{"one", "two"} {
		if err := s.Put(ctx, "a/b", []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutNew(ctx, "a/b", []byte("three")); !errors.Is(err, ErrExists) {
		t.Errorf("put again: %v", err)
	}
	if part, size, err := s.ReadAt(ctx, "a/b", 1, 100); string(part) != "wo" || size != 3 || err != nil {
		t.Errorf("%q of %d, %v", part, size, err)
	}
	var keys []string
	for o, err := range s.List(ctx, "a/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if len(keys) != 1 || keys[0] != "a/b" {
		t.Errorf("listed %v", keys)
	}
	r, err := s.Open(ctx, "a/b")
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(r); string(body) != "two" || err != nil {
		t.Errorf("%q %v", body, err)
	}
	r.Close()
	for range 2 {
		if err := s.Delete(ctx, "a/b"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}
