package presence

import (
	"context"
	"errors"
	"time"

	"airloom/internal/eventlog"
)

const (
	snapshotRest     = 10 * time.Second
	snapshotPatience = 30 * time.Second // for one room: where its snapshot cannot be used all of its events are read
	lastSnapshots    = 2 * time.Second  // for what is still to be written when this process is asked to stop
	lastPause        = 50 * time.Millisecond
)

// snapshots keeps the rooms' snapshots, and the mark that says up to where they hold everything, for whoever loads a room and for the
// next start of a presence. It is one goroutine: what it does not get done in time only makes loading slower.
func (s *Service) snapshots(ctx context.Context) {
	var marked time.Time
	known := knowledge{messages: s.mark.Messages} // written before this goroutine began
	var rests time.Time                           // until then, after a write that failed for a reason of its own
	every(ctx, s.cfg.Listen, func() {
		if time.Now().Before(rests) {
			return
		}
		if !s.regain(ctx) || !s.writeSnapshots(ctx, s.cfg.SnapshotAge+jitterOf(s.cfg)) {
			rests = time.Now().Add(snapshotRest)
			return
		}
		if time.Since(marked) >= s.cfg.markEvery && ctx.Err() == nil && s.writeMark(ctx, &known) {
			marked = time.Now()
		}
	})
	rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSnapshots)
	defer cancel()
	for s.regain(rest) && s.owes() && s.writeSnapshots(rest, 0) && s.owes() { // where another presence was faster, looking again finds it written
		select { // as it does in a moment, and a log that refuses each time is not to be asked without end
		case <-rest.Done():
		case <-time.After(lastPause):
		}
	}
	s.writeMark(rest, &known)
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

// writeSnapshots writes what is due. It says whether it makes sense to go on soon.
func (s *Service) writeSnapshots(ctx context.Context, age time.Duration) bool {
	s.mu.Lock()
	due := s.watch.ledger.due(time.Now(), age, s.watch.many)
	s.mu.Unlock()
	for _, name := range due {
		if ctx.Err() != nil || !s.bus.Up() || !s.writeSnapshot(ctx, name) {
			return false
		}
	}
	return true
}

// many is after how many events a room's snapshot is written anew: in a large room a snapshot is work, so there are more.
func (w *watch) many(name string) int {
	if rm := w.rooms[name]; rm != nil {
		return max(w.cfg.Snapshot, rm.state.Occupied())
	}
	return w.cfg.Snapshot
}

func (s *Service) writeSnapshot(ctx context.Context, name string) bool {
	var upTo, events uint64
	s.mu.Lock()
	tail := s.watch.ledger.begin(name)
	if rm := s.watch.rooms[name]; rm != nil { // it may be forgotten: then what is there counts
		upTo, events = max(rm.state.Position, s.watch.ledger.rooms[name].writing.first), rm.state.Events()
	}
	s.mu.Unlock()
	patience, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	done, err := s.log.WriteSnapshot(patience, name, eventlog.Known{UpTo: upTo, Events: events, Tail: tail})
	s.tracer.snapshot(ctx, done, err)
	failed := err != nil && !errors.Is(err, eventlog.ErrConflict)
	if failed && ctx.Err() == nil {
		s.logger.Warn("a room's snapshot could not be written now", "room", name, "error", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watch.ledger.end(name, err == nil && done.Position >= upTo, time.Now().Add(s.cfg.Retry))
	return !failed || errors.Is(err, eventlog.ErrTorn)
}

// knowledge is what writing the mark has taught of the snapshots.
type knowledge struct {
	messages int    // that they consist of
	purged   uint64 // how far the fold was when they were found purged; 0: they were not, or all are there again
}

// writeMark says whether there is a mark now that is as good as ours. Where there are fewer messages than known somebody has purged them:
// then everything is owed again.
func (s *Service) writeMark(ctx context.Context, known *knowledge) bool {
	s.mu.Lock()
	position := s.watch.ledger.mark(s.watch.position)
	s.mu.Unlock()
	if !s.bus.Up() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	anew := known.purged != 0 && position >= known.purged
	n, err := s.log.WriteMark(ctx, position, eventlog.Written{Messages: known.messages, Anew: anew})
	known.messages = n
	switch {
	case errors.Is(err, eventlog.ErrPurged):
		s.logger.Warn("writing all snapshots anew", "reason", err)
		s.mu.Lock()
		known.purged = s.watch.position
		s.watch.oweAll(time.Now())
		s.mu.Unlock()
	case err == nil && anew:
		known.purged = 0
	case err != nil && !errors.Is(err, eventlog.ErrConflict) && ctx.Err() == nil:
		s.logger.Warn("the mark of the snapshots could not be written now", "error", err)
	}
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
