package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"airloom/internal/blob"
)

// scratch is a store over another one: what is written stays in a folder of its own, what is not there is read from below.
type scratch struct {
	*blob.Store
	below Store
	dir   string
}

func newScratch(ctx context.Context, below Store) (*scratch, error) {
	dir, err := os.MkdirTemp("", "airloom-rebuild-")
	if err != nil {
		return nil, fmt.Errorf("make a folder to rebuild in: %w", err)
	}
	store, err := blob.Open(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &scratch{Store: store, below: below, dir: dir}, nil
}

func (s *scratch) close() error { return errors.Join(s.Store.Close(), os.RemoveAll(s.dir)) }

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
		n, aErr := io.ReadFull(ours, x[:])
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
