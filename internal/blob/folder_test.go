package blob

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
)

// An object whose first writer could not make its name durable is made so by the next one, before that says that it is there.
func TestExistingObjectIsMadeDurable(t *testing.T) {
	s, err := Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	broken := errors.New("input/output error")
	s.dir.sync = func(string) error { return broken }
	if err := s.PutNew(t.Context(), "a/b/c.seg", []byte("x")); !errors.Is(err, broken) {
		t.Fatalf("a name that is not durable: %v", err)
	}
	if err := s.PutNew(t.Context(), "a/b/c.seg", []byte("x")); !errors.Is(err, broken) || errors.Is(err, ErrExists) {
		t.Fatalf("the second try: %v", err)
	}
	var synced []string
	s.dir.sync = func(dir string) error { synced = append(synced, dir); return syncDir(dir) }
	if err := s.PutNew(t.Context(), "a/b/c.seg", []byte("x")); !errors.Is(err, ErrExists) || errors.Is(err, broken) {
		t.Fatalf("the third try: %v", err)
	}
	root := s.dir.root
	if want := []string{filepath.Join(root, "a", "b"), filepath.Join(root, "a"), root}; !slices.Equal(synced, want) {
		t.Errorf("synced %v, want %v", synced, want)
	}
}
