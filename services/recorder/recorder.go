// Package recorder follows rooms that are recorded: out of the log's packs and events it makes segments, one .opus per
// track and a manifest, and it answers for what lies in the blob store.
//
// It is a fold of two streams and keeps nothing that they and the store do not have. It takes no part in live sound and
// acks nothing. Several recorders may follow the same region: they write the same bytes under the same names.
package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/subject"
)

// Recorder is one recorder of a region.
type Recorder struct {
	cfg     Config
	bus     *bus.Bus
	log     *eventlog.Log
	store   Store
	logger  *slog.Logger
	metrics *metrics
	caught  atomic.Bool // the events are folded up to where they were at the start
	failing *atomic.Bool
}

// New checks and stores. The log's "by" names this recorder in the events it appends.
func New(cfg Config, b *bus.Bus, log *eventlog.Log, store Store, logger *slog.Logger) (*Recorder, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure recorder: %w", err)
	}
	m, err := newMetrics()
	if err != nil {
		return nil, fmt.Errorf("make recorder's metrics: %w", err)
	}
	return &Recorder{
		cfg: cfg.withDefaults(), bus: b, log: log, store: store, logger: logger, metrics: m, failing: new(atomic.Bool),
	}, nil
}

// Ready says whether it follows the log, reaches NATS and its blob store works, and no replica that is away holds it up.
func (r *Recorder) Ready() bool {
	return r.caught.Load() && r.bus.Up() && !r.failing.Load() && !r.metrics.held()
}

// Run records until ctx ends; then it finishes what is in hand, within Config.Drain, and stores how far it is. It
// returns an error where the log holds what it cannot understand.
func (r *Recorder) Run(ctx context.Context) error {
	if r.cfg.Key == nil {
		r.logger.Warn("this recorder has no key: its recordings are not signed, and cannot be proven to be its own")
	}
	sweepScratch(r.logger)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.cfg.Drain, stop) })()
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.answer(groupCtx) })
	group.Go(func() error { return r.signLate(groupCtx) })
	group.Go(func() error { return r.record(groupCtx, work) })
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// record follows until ctx ends. work is the context of what must be finished even then.
func (r *Recorder) record(ctx, work context.Context) error {
	defer r.caught.Store(false)
	f := newFold(r)
	work, f.stop = context.WithCancel(work) // what is complete is stored already while the fold resumes
	defer f.stop()
	if err := f.resume(ctx, work); err != nil {
		return f.give(err)
	}
	taps, stopTaps := context.WithCancel(ctx)
	group, groupCtx := errgroup.WithContext(taps)
	group.Go(func() error { return f.events.run(groupCtx, f.folded, f.eventsIn) })
	group.Go(func() error { return f.packs.run(groupCtx, f.read, f.packsIn) })
	err := f.run(ctx, work)
	stopTaps()
	if tapErr := group.Wait(); err == nil && !errors.Is(tapErr, context.Canceled) {
		err = tapErr
	}
	return err
}

func (r *Recorder) tap(stream string) *tap {
	return &tap{js: r.bus.JetStream(), stream: stream, metrics: r.metrics, logger: r.logger}
}

func newFold(r *Recorder) *fold {
	keep := newKeeper(r.store, r.cfg.Retry, r.metrics, r.logger)
	keep.failing, keep.stall = r.failing, r.cfg.Stall
	return &fold{
		r: r, keeper: keep,
		events: r.tap(subject.EventStream(r.cfg.Region)), packs: r.tap(subject.LogStream(r.cfg.Region)),
		eventsIn: make(chan message, tapped), packsIn: make(chan message, tapped),
		rooms: map[string]*knownRoom{}, follows: map[trackKey][]*follow{}, byRecording: map[followKey]*follow{},
		calm: map[string]bool{}, touched: map[*follow]bool{},
		writes: newPool(r.cfg.Writers), places: make(chan struct{}, r.cfg.Renders), rendered: make(chan rendered),
	}
}
