package blob

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// folder writes objects into a directory. It does what gocloud's fileblob does not: it fsyncs, and its put-if-absent
// is one act of the file system (link), so that it holds between processes too. A checkpoint that says "all of this
// is stored" must not survive a power cut that its segments do not.
type folder struct {
	root string
	sync func(dir string) error // makes the names in a directory durable
}

const (
	tmpDir = ".tmp" // beside the objects: on the same file system, and its name is no key of ours
	stale  = time.Hour
)

func newFolder(path string) (*folder, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(root, tmpDir), 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	d := &folder{root: root, sync: syncDir}
	return d, d.sweep()
}

// sweep removes what killed writers left; the young may belong to another process that lives.
func (d *folder) sweep() error {
	entries, err := os.ReadDir(filepath.Join(d.root, tmpDir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > stale {
			_ = os.Remove(filepath.Join(d.root, tmpDir, e.Name()))
		}
	}
	return nil
}

func (d *folder) path(key string) (string, error) {
	if key == "" || strings.Contains(key, "\\") || !filepath.IsLocal(key) {
		return "", fmt.Errorf("%q is not a key", key)
	}
	return filepath.Join(d.root, filepath.FromSlash(key)), nil
}

// list reads one directory; gocloud's walks all that lies below it.
func (d *folder) list(prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		dir := d.root
		if prefix != "" {
			var err error
			if dir, err = d.path(prefix); err != nil {
				yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			}
		}
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			yield(Object{}, fmt.Errorf("list %s: %w", prefix, err))
			return
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || e.Name() == tmpDir { // gone since
				continue
			}
			o := Object{Key: prefix + e.Name(), Size: info.Size(), Modified: info.ModTime()}
			if e.IsDir() {
				o.Key, o.Size = o.Key+"/", 0
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

type newFile struct {
	*os.File
	path  string
	in    *folder
	isNew bool
}

func (d *folder) create(key string, isNew bool) (*newFile, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Join(d.root, tmpDir), "*")
	if err != nil {
		return nil, err
	}
	return &newFile{File: f, path: path, in: d, isNew: isNew}, nil
}

func (f *newFile) abort() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

func (f *newFile) commit() error {
	defer os.Remove(f.Name()) // gone already after a rename
	err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	placed := f.place()
	if placed != nil && !errors.Is(placed, ErrExists) {
		return placed
	}
	// Also of an object that is there already: whoever put it may have died, or failed, before its name was durable, and our caller takes it for stored.
	if err := f.in.syncUp(dir); err != nil {
		return err
	}
	return placed
}

func (f *newFile) place() error {
	if !f.isNew {
		return os.Rename(f.Name(), f.path)
	}
	err := os.Link(f.Name(), f.path)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	return err
}

// syncUp makes the names durable, from the object's folder up to the root: any of them may be new.
func (d *folder) syncUp(dir string) error {
	for {
		if err := d.sync(dir); err != nil {
			return fmt.Errorf("sync folder %s: %w", dir, err)
		}
		if dir == d.root {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
