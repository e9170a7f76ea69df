package recorder

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"airloom/internal/blob"
)

// faulty is a store that can be told to fail.
type faulty struct {
	*blob.Store
	mu    sync.Mutex
	fails func(op, key string) bool
	calls map[string]int
}

func newFaulty(s *blob.Store) *faulty { return &faulty{Store: s, calls: map[string]int{}} }

var errFault = errors.New("503 slow down")

func (f *faulty) fail(when func(op, key string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = when
}

func (f *faulty) try(op, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	if f.fails != nil && f.fails(op, key) {
		return errFault
	}
	return nil
}

func (f *faulty) Put(ctx context.Context, key string, data []byte) error {
	if err := f.try("put", key); err != nil {
		return err
	}
	return f.Store.Put(ctx, key, data)
}

func (f *faulty) PutNew(ctx context.Context, key string, data []byte) error {
	if err := f.try("new", key); err != nil {
		return err
	}
	return f.Store.PutNew(ctx, key, data)
}

func (f *faulty) Create(ctx context.Context, key string) (*blob.Writer, error) {
	if err := f.try("create", key); err != nil {
		return nil, err
	}
	return f.Store.Create(ctx, key)
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.try("get", key); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, key)
}

func (f *faulty) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := f.try("open", key); err != nil {
		return nil, err
	}
	return f.Store.Open(ctx, key)
}

func (f *faulty) ReadAt(ctx context.Context, key string, offset, length int64) ([]byte, int64, error) {
	if err := f.try("read", key); err != nil {
		return nil, 0, err
	}
	return f.Store.ReadAt(ctx, key, offset, length)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.try("delete", key); err != nil {
		return err
	}
	return f.Store.Delete(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error] {
	if err := f.try("list", prefix); err != nil {
		return func(yield func(blob.Object, error) bool) { yield(blob.Object{}, err) }
	}
	return f.Store.List(ctx, prefix)
}

// unwritable is a store whose writes fail with an error of one's own.
type unwritable struct {
	Store
	err error
}

func (s unwritable) Put(context.Context, string, []byte) error { return s.err }
