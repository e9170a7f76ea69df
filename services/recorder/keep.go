package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"airloom/internal/blob"
)

// Store is where recordings lie: a *blob.Store.
type Store interface {
	Put(ctx context.Context, key string, data []byte) error
	PutNew(ctx context.Context, key string, data []byte) error
	Create(ctx context.Context, key string) (*blob.Writer, error)
	Get(ctx context.Context, key string) ([]byte, error)
	Open(ctx context.Context, key string) (io.ReadCloser, error)
	ReadAt(ctx context.Context, key string, offset, length int64) ([]byte, int64, error)
	Delete(ctx context.Context, key string) error
	List(ctx context.Context, prefix string) iter.Seq2[blob.Object, error]
}

// keeper stores objects and does not give up: a store that fails or is slow makes its callers wait, so nothing is read
// from the log that could not be kept.
type keeper struct {
	store Store
	retry time.Duration
	// hopeless says of an error that waiting does not mend it: it is returned. nil: none is.
	hopeless func(error) bool
	stall    time.Duration // an attempt that does not get on for so long is given up and made anew
	metrics  *metrics
	logger   *slog.Logger

	mu      sync.Mutex
	waiting map[int64]int // Unix ns of the beginning of what is under way -> how many
	failing *atomic.Bool
}

func newKeeper(store Store, retry time.Duration, m *metrics, logger *slog.Logger) *keeper {
	return &keeper{store: store, retry: retry, stall: time.Minute, metrics: m, logger: logger, waiting: map[int64]int{}, failing: new(atomic.Bool)}
}

// insist does something until it works, says that an object exists, does not or is damaged, or ctx ends.
func (k *keeper) insist(ctx context.Context, what string, do func(context.Context) error) error {
	defer k.begin()()
	for wait := newBackoff(k.retry); ; {
		err := k.attempt(ctx, do)
		if err == nil || errors.Is(err, blob.ErrExists) || errors.Is(err, blob.ErrNotExist) || errors.As(err, new(*damaged)) {
			if k.failing.CompareAndSwap(true, false) {
				k.logger.Info("the blob store works again")
			}
			return err
		}
		if k.hopeless != nil && k.hopeless(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		k.metrics.retries.Add(1)
		if k.failing.CompareAndSwap(false, true) && ctx.Err() == nil {
			k.logger.Error("the blob store fails; reading waits until it works again", "doing", what, "error", err)
		}
		if wait.pause(ctx) != nil {
			return fmt.Errorf("%s: given up: %w", what, err)
		}
	}
}

// errStalled is the cause of an attempt's end that did not get on.
var errStalled = errors.New("the blob store does not get on")

// What a store may still have to send when it has taken everything: a store of objects uploads large ones in parts, and says nothing while it does. It gets
// the stall, and as long as that takes over a line of 512 kbit/s.
const (
	mostUnsent = 64 << 20 // bytes
	slowest    = 64 << 10 // bytes per second
)

type getsOn struct{}

// progress is how an attempt gets on.
type progress struct {
	timer   *time.Timer
	stall   time.Duration
	written atomic.Int64 // bytes
}

func (p *progress) report() {
	unsent := min(p.written.Load(), mostUnsent)
	p.timer.Reset(p.stall + time.Duration(unsent)*time.Second/slowest)
}

// attempt does something once, for as long as it gets on: a store that takes a request and never answers must not be waited for.
func (k *keeper) attempt(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &progress{stall: k.stall, timer: time.AfterFunc(k.stall, func() { cancel(errStalled) })}
	defer p.timer.Stop()
	err := do(context.WithValue(ctx, getsOn{}, p))
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return fmt.Errorf("%w: %w", errStalled, err)
	}
	return err
}

// gotOn says that an attempt which may take long has got on.
func gotOn(ctx context.Context) {
	if p, ok := ctx.Value(getsOn{}).(*progress); ok {
		p.report()
	}
}

// writing is the writer of a large object: each piece that is taken says that the attempt gets on, and how much there may be to send.
type writing struct {
	io.Writer
	ctx context.Context
}

// Write implements io.Writer.
func (w writing) Write(b []byte) (n int, err error) {
	n, err = w.Writer.Write(b)
	if p, ok := w.ctx.Value(getsOn{}).(*progress); ok && n > 0 {
		p.written.Add(int64(n))
		p.report()
	}
	return n, err
}

// gettingOn is a reader of a large object: each piece that comes says that the attempt gets on.
type gettingOn struct {
	io.Reader
	ctx context.Context
}

// Read implements io.Reader.
func (g gettingOn) Read(p []byte) (n int, err error) {
	if n, err = g.Reader.Read(p); n > 0 {
		gotOn(g.ctx)
	}
	return n, err
}

// begin notes that something waits to be stored, until the function it returns is called.
func (k *keeper) begin() (end func()) {
	since := time.Now().UnixNano()
	k.change(since, 1)
	return func() { k.change(since, -1) }
}

func (k *keeper) change(since int64, by int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.waiting[since] += by; k.waiting[since] == 0 {
		delete(k.waiting, since)
	}
	var oldest int64
	for at := range k.waiting {
		if oldest == 0 || at < oldest {
			oldest = at
		}
	}
	k.metrics.waiting.Store(oldest)
}

// putNew stores what every recorder must store alike. Somebody else's object with the same bytes is as good as ours;
// with other bytes it stays, and that is an alarm.
func (k *keeper) putNew(ctx context.Context, key string, data []byte) error {
	_, err := k.putOurs(ctx, key, data)
	return err
}

// putOurs is putNew that says whether what is stored then are these bytes.
func (k *keeper) putOurs(ctx context.Context, key string, data []byte) (ours bool, err error) {
	var there []byte
	for wait := newBackoff(k.retry); ; {
		err = k.insist(ctx, "store "+key, func(ctx context.Context) error { return k.store.PutNew(ctx, key, data) })
		if !errors.Is(err, blob.ErrExists) {
			return true, err
		}
		if there, err = k.get(ctx, key); err == nil {
			break
		}
		if !errors.Is(err, blob.ErrNotExist) || wait.pause(ctx) != nil { // else it was moved to quarantine between the two
			return false, err
		}
	}
	if ours = bytes.Equal(there, data); !ours {
		our, their := sha256.Sum256(data), sha256.Sum256(there)
		k.diverges(key, hex.EncodeToString(our[:]), hex.EncodeToString(their[:]))
	}
	return ours, nil
}

func (k *keeper) diverges(key, ours, theirs string) {
	k.metrics.divergences.Add(1)
	k.logger.Error("ALARM: divergence: another recorder wrote other bytes; the first ones stay",
		"object", key, "ours_sha256", ours, "theirs_sha256", theirs)
}

func (k *keeper) get(ctx context.Context, key string) (data []byte, err error) {
	err = k.insist(ctx, "read "+key, func(ctx context.Context) (err error) {
		data, err = k.store.Get(ctx, key)
		return err
	})
	return data, err
}

func (k *keeper) put(ctx context.Context, key string, data []byte) error {
	return k.insist(ctx, "store "+key, func(ctx context.Context) error { return k.store.Put(ctx, key, data) })
}

// pool runs jobs side by side. When all places are taken, submitting waits.
type pool struct {
	places chan struct{}
	jobs   sync.WaitGroup
	failed atomic.Bool
}

func newPool(places int) *pool { return &pool{places: make(chan struct{}, places)} }

// submit runs a job as soon as there is a place. It returns an error when ctx ends before that.
func (p *pool) submit(ctx context.Context, job func() error) error {
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		p.failed.Store(true)
		return ctx.Err()
	}
	p.jobs.Go(func() {
		defer func() { <-p.places }()
		if err := job(); err != nil {
			p.failed.Store(true)
		}
	})
	return nil
}

// wait waits until no job is under way; false says that one has ever failed, so that nothing may be called stored.
func (p *pool) wait() bool {
	p.jobs.Wait()
	return !p.failed.Load()
}
