package recorder

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Row 88: a full disk under the folder of recordings. The disk is a small tmpfs; where this test may not mount one, a store that fails to write
// stands for it.
func TestRow88DiskFull(t *testing.T) {
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		failingDisk(t, dir)
		return
	}
	if err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(dir, "filler")
	disturbed(t, newRegion(t), dir, dir, openStore(t, dir), func() { fill(t, filler) }, func() { change(t, os.Remove(filler)) })
}

// fill writes until the disk has room no more.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	change(t, err)
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
}

func failingDisk(t *testing.T, dir string) {
	t.Helper()
	t.Log("no right to mount a disk: the store itself fails to write")
	r := newRegion(t)
	store := newFaulty(openStore(t, dir))
	full := func(op, _ string) bool { return strings.Contains("put new create", op) }
	disturbedStore(t, r, dir, store, openStore(t, dir), func() { store.fail(full) }, func() { store.fail(nil) })
}
