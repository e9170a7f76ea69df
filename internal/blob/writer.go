package blob

import (
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
)

// Writer is an object being written. One goroutine owns it and ends it by either Commit or Abort.
type Writer struct {
	key    string
	file   *newFile
	remote *blob.Writer
	cancel context.CancelFunc
	exists func() bool // of a remote object that must be new: is it there?
}

// Write adds bytes.
func (w *Writer) Write(p []byte) (int, error) {
	if w.file != nil {
		return w.file.Write(p)
	}
	return w.remote.Write(p)
}

// Commit makes the object be there, durable; ErrExists (wrapped) where the key is taken.
func (w *Writer) Commit() error {
	var err error
	if w.file != nil {
		err = w.file.commit()
	} else {
		err = w.remote.Close()
		w.cancel()
	}
	if err != nil {
		return w.failed(err)
	}
	return nil
}

// failed says why a write failed. A server may refuse a taken key before it has read the body and cut the connection, so
// that its answer is lost in the reset: then what lies under the key decides.
func (w *Writer) failed(err error) error {
	err = classify(err)
	if w.exists != nil && !errors.Is(err, ErrExists) && w.exists() {
		err = fmt.Errorf("%w (%w)", ErrExists, err)
	}
	return fmt.Errorf("write %s: %w", w.key, err)
}

// Abort forgets what was written.
func (w *Writer) Abort() {
	if w.file != nil {
		w.file.abort()
		return
	}
	w.cancel()
	_ = w.remote.Close() // its ctx is over: nothing is written, and what it says is just that
}
