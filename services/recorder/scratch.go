package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// scratch is a store over another one: what is written stays in a folder of its own, what is not there is read from below.
type scratch struct {
	*blob.Store
	below Store
	dir   string
	lock  *os.File
}

// scratchName begins the names of folders to rebuild in. Each holds a file that is locked as long as its process lives.
const scratchName, scratchLock = "airloom-rebuild-", "lock"

func newScratch(ctx context.Context, below Store) (_ *scratch, err error) {
	dir, err := os.MkdirTemp("", scratchName)
	if err != nil {
		return nil, fmt.Errorf("make a folder to rebuild in: %w", err)
	}
	s := &scratch{below: below, dir: dir}
	defer func() {
		if err != nil {
			err = fmt.Errorf("make a folder to rebuild in: %w", errors.Join(err, s.close()))
		}
	}()
	if s.lock, err = lockFile(filepath.Join(dir, scratchLock), os.O_CREATE); err != nil {
		return nil, err
	}
	s.Store, err = blob.Open(ctx, s.objects())
	return s, err
}

func (s *scratch) objects() string { return filepath.Join(s.dir, "objects") }

func (s *scratch) close() error {
	err := os.RemoveAll(s.dir)
	if s.Store != nil {
		err = errors.Join(err, s.Store.Close())
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// drop forgets the objects of a track that is done.
func (s *scratch) drop(id, track string) error {
	var errs []error
	for _, key := range []string{recording.Dir(id) + recording.SegmentsDir + track, recording.OpusKey(id, track), recording.TrackKey(id, track)} {
		errs = append(errs, os.RemoveAll(filepath.Join(s.objects(), filepath.FromSlash(key))))
	}
	return errors.Join(errs...)
}

// explain says what to do about a disk that is full.
func (s *scratch) explain(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil || !diskFull(err) {
		return err
	}
	return fmt.Errorf("the disk to rebuild on is full: free space for the largest track in %s, or start the recorder with TMPDIR on a larger disk, and rebuild again: %w", filepath.Dir(s.dir), err)
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func lockFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return f, nil
}

// sweepScratch removes the folders of processes that were killed in the middle of a rebuild. One without a lock is just being made, or of an older build:
// it goes after a day.
func sweepScratch(logger *slog.Logger) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), scratchName+"*"))
	for _, dir := range dirs {
		lock, err := lockFile(filepath.Join(dir, scratchLock), 0)
		if err == nil {
			defer lock.Close()
		} else if info, statErr := os.Stat(dir); statErr != nil || !errors.Is(err, fs.ErrNotExist) || time.Since(info.ModTime()) < 24*time.Hour {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			logger.Warn("a folder that a killed rebuild left is not removed", "folder", dir, "error", err)
			continue
		}
		logger.Info("removed a folder that a killed rebuild left", "folder", dir)
	}
}

// Get implements Store.
func (s *scratch) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.Store.Get(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return s.below.Get(ctx, key)
	}
	return data, err
}

// Open implements Store.
func (s *scratch) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	object, err := s.Store.Open(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return s.below.Open(ctx, key)
	}
	return object, err
}

// same compares two objects. The error is that of the second one, which may not exist.
func same(ctx context.Context, a Store, aKey string, b Store, bKey string) (bool, error) {
	there, err := b.Open(ctx, bKey)
	if err != nil {
		return false, err
	}
	defer there.Close()
	ours, err := a.Open(ctx, aKey)
	if err != nil {
		return false, err
	}
	defer ours.Close()
	var x, y [64 << 10]byte
	for {
		n, aErr := io.ReadFull(gettingOn{ours, ctx}, x[:])
		m, bErr := io.ReadFull(gettingOn{there, ctx}, y[:])
		if n != m || !bytes.Equal(x[:n], y[:m]) {
			return false, readError(bErr)
		}
		if aErr != nil || bErr != nil {
			return true, errors.Join(readError(aErr), readError(bErr))
		}
	}
}

// readError is err, unless it only says that the object is at its end.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
