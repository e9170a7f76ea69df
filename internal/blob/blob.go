// Package blob owns where recordings' objects lie: a folder, memory or S3, told by URL.
//
// It knows nothing of what the objects mean. Keys are made by its callers from checked ids, never from raw input. An
// object appears whole or not at all, and PutNew decides between several writers of the same key.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/memblob" // mem://
	_ "gocloud.dev/blob/s3blob"  // s3://
	"gocloud.dev/gcerrors"
)

var (
	// ErrExists says that the key is taken: somebody else was first.
	ErrExists = errors.New("object exists already")
	// ErrNotExist says that there is no such object.
	ErrNotExist = errors.New("no such object")
)

// Store keeps objects by key. Its methods may be called by several goroutines.
type Store struct {
	bucket *blob.Bucket
	dir    *folder // not nil for a folder, whose writing is our own: see folder
}

// Object is what List tells of one.
type Object struct {
	Key      string // ends with "/" for a folder of objects
	Size     int64
	Modified time.Time
}

// Open opens a store by URL: a path or file:///path (made when it is missing), mem:// (forgotten at the end) or
// s3://bucket?region=…&prefix=… (see gocloud.dev/blob/s3blob; credentials come from the environment).
func Open(ctx context.Context, where string) (*Store, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %q is neither a path nor a URL: %w", where, err)
	}
	switch u.Scheme {
	case "", "file":
		path := u.Path
		if u.Scheme == "" {
			path = where
		}
		return openFolder(path)
	case "mem", "s3":
		bucket, err := blob.OpenBucket(ctx, where)
		if err != nil {
			return nil, fmt.Errorf("open blob store %s: %w", u.Redacted(), err)
		}
		return &Store{bucket: bucket}, nil
	default:
		return nil, fmt.Errorf("open blob store %s: a %s store is not supported: use a path, file:///path, mem:// or s3://bucket", u.Redacted(), u.Scheme)
	}
}

func openFolder(path string) (*Store, error) {
	if path == "" {
		return nil, errors.New("open blob store: the path is empty")
	}
	dir, err := newFolder(filepath.FromSlash(path))
	if err != nil {
		return nil, fmt.Errorf("open blob store %s: %w", path, err)
	}
	bucket, err := fileblob.OpenBucket(dir.root, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("open blob store %s: %w", path, err)
	}
	return &Store{bucket: bucket, dir: dir}, nil
}

// Close lets go of the store; what was put stays.
func (s *Store) Close() error { return s.bucket.Close() }

// Put writes an object in place of what was there.
func (s *Store) Put(ctx context.Context, key string, data []byte) error {
	return s.write(ctx, key, data, false)
}

// PutNew writes an object that must not be there yet; ErrExists (wrapped) where it is, and that one stays as it is.
func (s *Store) PutNew(ctx context.Context, key string, data []byte) error {
	return s.write(ctx, key, data, true)
}

func (s *Store) write(ctx context.Context, key string, data []byte, isNew bool) error {
	w, err := s.create(ctx, key, isNew)
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		w.Abort()
		return w.failed(err)
	}
	return w.Commit()
}

// Create begins a new object that is written piece by piece. Nothing is there before Commit, which returns ErrExists
// where somebody else was first.
func (s *Store) Create(ctx context.Context, key string) (*Writer, error) {
	return s.create(ctx, key, true)
}

func (s *Store) create(ctx context.Context, key string, isNew bool) (*Writer, error) {
	if s.dir != nil {
		w, err := s.dir.create(key, isNew)
		if err != nil {
			return nil, fmt.Errorf("create %s: %w", key, err)
		}
		return &Writer{key: key, file: w}, nil
	}
	writing, cancel := context.WithCancel(ctx) // closing a writer whose ctx has ended writes nothing
	remote, err := s.bucket.NewWriter(writing, key, &blob.WriterOptions{IfNotExist: isNew, ContentType: contentType(key)})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("create %s: %w", key, err)
	}
	w := &Writer{key: key, remote: remote, cancel: cancel}
	if isNew {
		w.exists = func() bool {
			there, err := s.bucket.Exists(ctx, key)
			return there && err == nil
		}
	}
	return w, nil
}

func contentType(key string) string {
	switch {
	case strings.HasSuffix(key, ".json"):
		return "application/json"
	case strings.HasSuffix(key, ".opus"):
		return "audio/ogg; codecs=opus"
	}
	return "application/octet-stream"
}

// Get reads an object whole.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.bucket.ReadAll(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, classify(err))
	}
	return data, nil
}

// ReadAt reads at most length bytes from offset on and tells the object's size. Beyond the end it reads nothing.
func (s *Store) ReadAt(ctx context.Context, key string, offset, length int64) (data []byte, size int64, err error) {
	attrs, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", key, classify(err))
	}
	if length = min(length, attrs.Size-offset); length <= 0 {
		return nil, attrs.Size, nil
	}
	r, err := s.bucket.NewRangeReader(ctx, key, offset, length, nil)
	if err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", key, classify(err))
	}
	defer r.Close()
	data = make([]byte, length)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, 0, fmt.Errorf("read %s: %w", key, err)
	}
	return data, attrs.Size, nil
}

// Open reads an object piece by piece.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", key, classify(err))
	}
	return r, nil
}

// Delete removes an object; it is no error when there is none.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// List yields what lies directly below prefix (which ends with "/" or is empty), objects and folders of objects.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	if s.dir != nil {
		return s.dir.list(prefix)
	}
	return func(yield func(Object, error) bool) {
		it := s.bucket.List(&blob.ListOptions{Prefix: prefix, Delimiter: "/"})
		for {
			o, err := it.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Object{}, fmt.Errorf("list %s: %w", prefix, classify(err)))
				return
			}
			if !yield(Object{Key: o.Key, Size: o.Size, Modified: o.ModTime}, nil) {
				return
			}
		}
	}
}

func classify(err error) error {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		return fmt.Errorf("%w (%w)", ErrNotExist, err)
	case gcerrors.FailedPrecondition:
		return fmt.Errorf("%w (%w)", ErrExists, err)
	}
	return err
}
