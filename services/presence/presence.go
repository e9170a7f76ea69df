// Package presence keeps every room's roster true: it folds the region's events, hears the heartbeats of the edges, ends the
// sessions of edges that died and of participants that did not come back, and answers who is in which room.
//
// Any number of presences may run. Each folds everything; what they append is compare-and-append, so of several that reap the
// same session one wins and the others read that it is done. It never touches audio and never decides on a join.
package presence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sync/errgroup"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Service is one presence.
type Service struct {
	cfg    Config
	bus    *bus.Bus
	log    *eventlog.Log
	logger *slog.Logger
	tracer tracer

	mu    sync.Mutex
	watch *watch        // guarded by mu
	mark  eventlog.Mark // where the fold began; guarded by mu

	caughtUp chan struct{} // closed when all that was in the log at the start is folded
	news     atomic.Uint64 // newest position heard on the republished events
}

// New checks the config and stores what it gets; log must write as cfg.Instance.
func New(cfg Config, b *bus.Bus, log *eventlog.Log, logger *slog.Logger) (*Service, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("presence config: %w", err)
	}
	cfg = cfg.withDefaults()
	return &Service{
		cfg: cfg, bus: b, log: log, logger: logger, tracer: newTracer(),
		watch: newWatch(cfg, log.Defaults()), caughtUp: make(chan struct{}),
	}, nil
}

// patience is how long readiness outlasts a silent NATS: a blink of the servers must not take every service away at once.
const patience = 10 * time.Second

// Ready says whether it has caught up with the log and still reaches it.
func (s *Service) Ready() bool {
	select {
	case <-s.caughtUp:
	default:
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.watch.listened) < patience
}

// Run works until ctx ends, then finishes the appends and answers it has begun. It returns nil then, or the error that stops the
// projection: a known event that does not decode.
func (s *Service) Run(ctx context.Context) error {
	stopMetrics, err := s.observe()
	if err != nil {
		return fmt.Errorf("register metrics of presence: %w", err)
	}
	defer stopMetrics()
	ears, err := s.subscribe(s.ears())
	if err != nil {
		return err
	}
	defer bus.Unsubscribe(ears)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := s.restore(ctx); err != nil {
			return err
		}
		return s.fold(ctx)
	})
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.caughtUp:
		}
		s.credit(ctx)
		return s.serve(ctx)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("presence: %w", err)
	}
	return nil
}

// serve is what a presence does once it knows all: judge, reap, answer.
func (s *Service) serve(ctx context.Context) error {
	answers, err := s.subscribe(s.answers())
	if err != nil {
		return err
	}
	defer bus.Unsubscribe(answers)
	s.logger.Info("presence is ready", "instance", s.cfg.Instance)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.listen(ctx); return nil })
	group.Go(func() error { s.snapshots(ctx); return nil })
	group.Go(func() error { s.reap(ctx); return nil })
	return group.Wait()
}

// listen proves again and again that what the servers sent has reached this process. What they sent while the connection was gone has
// not, however short that was.
func (s *Service) listen(ctx context.Context) {
	connections := s.bus.Conn().Stats().Reconnects
	every(ctx, s.cfg.Listen, func() {
		round, cancel := context.WithTimeout(ctx, s.cfg.Deaf)
		defer cancel()
		if s.bus.Conn().FlushWithContext(round) == nil {
			now := s.bus.Conn().Stats().Reconnects
			s.mu.Lock()
			defer s.mu.Unlock()
			if now != connections {
				connections = now
				s.watch.Deafened()
			}
			s.watch.Listening(time.Now())
		}
	})
}

// every calls fn at once and then at each tick until ctx ends.
func every(ctx context.Context, pause time.Duration, fn func()) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for ctx.Err() == nil {
		fn()
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func (s *Service) apply(e *room.Event) error {
	live := false
	select {
	case <-s.caughtUp:
		live = true
	default:
	}
	end := s.tracer.fold(e, live)
	defer end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.Apply(e, time.Now())
	return nil
}

// ears are what it hears from the start on.
func (s *Service) ears() []ear {
	region := s.log.Region()
	return []ear{
		{on: subject.AllHeartbeats(region), hear: func(m *nats.Msg) {
			if name, ok := heartbeatOf(region, m.Subject); ok {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.watch.Heard(name, time.Now())
			}
		}},
		{on: subject.AllSpeaking(), hear: func(m *nats.Msg) {
			if p := subject.Parse(m.Subject); p.Kind == subject.Speaks && p.Region == region {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.watch.Speaks(p.Room, p.Track, string(m.Data) == "1", time.Now())
			}
		}},
		{on: subject.LiveEvents(), hear: s.hearNews},
	}
}
