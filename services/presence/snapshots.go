package presence

import (
	"context"
	"errors"
	"time"

	"airloom/internal/eventlog"
)

const (
	snapshotPatience = 30 * time.Second // for one room: where its snapshot cannot be used all of its events are read
	lastSnapshots    = 2 * time.Second  // for what is still to be written when this process is asked to stop
)

// snapshots keeps the rooms' snapshots, and the mark that says up to where they hold everything, for whoever loads a room and for the
// next start of a presence. It is one goroutine: what it does not get done in time only makes loading slower.
func (s *Service) snapshots(ctx context.Context) {
	var marked time.Time
	messages := s.mark.Messages // written before this goroutine began
	every(ctx, s.cfg.Listen, func() {
		s.writeSnapshots(ctx, s.cfg.SnapshotAge+jitterOf(s.cfg))
		if time.Since(marked) >= s.cfg.markEvery && ctx.Err() == nil && s.writeMark(ctx, &messages) {
			marked = time.Now()
		}
	})
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSnapshots)
	defer cancel()
	for s.owes() && rest.Err() == nil && s.bus.Up() { // where another presence was faster, looking again finds it written
		s.writeSnapshots(rest, 0)
	}
	s.writeMark(rest, &messages)
}

func (s *Service) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watch.ledger.rooms) > 0
}

// jitterOf lets one of several presences be first with a snapshot, which the others then find written.
func jitterOf(c Config) time.Duration {
	return (&watch{cfg: c}).jitter("snapshots", c.SnapshotAge/4)
}

func (s *Service) writeSnapshots(ctx context.Context, age time.Duration) {
	s.mu.Lock()
	due := s.watch.ledger.due(time.Now(), age, s.watch.many)
	s.mu.Unlock()
	for _, name := range due {
		if ctx.Err() != nil || !s.bus.Up() {
			return
		}
		s.writeSnapshot(ctx, name)
	}
}

// many is after how many events a room's snapshot is written anew: in a large room a snapshot is work, so there are more.
func (w *watch) many(name string) int {
	if rm := w.rooms[name]; rm != nil {
		return max(w.cfg.Snapshot, rm.state.Occupied())
	}
	return w.cfg.Snapshot
}

func (s *Service) writeSnapshot(ctx context.Context, name string) {
	var upTo, events uint64
	s.mu.Lock()
	tail := s.watch.ledger.begin(name)
	if rm := s.watch.rooms[name]; rm != nil { // it may be forgotten: then what is there counts
		upTo, events = rm.state.Position, rm.state.Events()
	}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	done, err := s.log.WriteSnapshot(ctx, name, eventlog.Known{UpTo: upTo, Events: events, Tail: tail})
	s.tracer.snapshot(ctx, done, err)
	if err != nil && !errors.Is(err, eventlog.ErrConflict) && ctx.Err() == nil {
		s.logger.Warn("a room's snapshot could not be written now", "room", name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.ledger.end(name, err == nil && done.Position >= upTo, time.Now().Add(s.cfg.Retry))
}

// writeMark says whether there is a mark now that is as good as ours. messages is how many the snapshots are known to consist of.
// Where there are fewer somebody has purged them: then everything is owed again.
func (s *Service) writeMark(ctx context.Context, messages *int) bool {
	s.mu.Lock()
	position := s.watch.ledger.mark(s.watch.position)
	s.mu.Unlock()
	if !s.bus.Up() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	n, err := s.log.WriteMark(ctx, position, *messages)
	switch {
	case errors.Is(err, eventlog.ErrPurged):
		s.logger.Warn("writing all snapshots anew", "reason", err)
		s.mu.Lock()
		s.watch.oweAll(time.Now())
		s.mu.Unlock()
	case err != nil && !errors.Is(err, eventlog.ErrConflict) && ctx.Err() == nil:
		s.logger.Warn("the mark of the snapshots could not be written now", "error", err)
	}
	*messages = n
	return err == nil
}

// oweAll says that no room has a snapshot. The mark stays behind everything until all have one again.
func (w *watch) oweAll(now time.Time) {
	for name := range w.rooms {
		w.ledger.owe(name, 1, now.Add(-2*w.cfg.SnapshotAge))
	}
}

// restore begins the fold from the snapshots, trying until the log answers.
func (s *Service) restore(ctx context.Context) error {
	for {
		began := time.Now()
		region, err := s.log.Snapshots(ctx)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.watch.Restore(region.Rooms, region.Mark.Position, time.Now())
			s.mark = region.Mark
			s.logger.Info("rooms restored from snapshots", "rooms", len(region.Rooms), "position", region.Mark.Position, "took", time.Since(began))
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, eventlog.ErrAway) {
			return err
		}
		s.logger.Warn("reading snapshots anew", "reason", err)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}
