package presence

import (
	"context"
	"maps"
	"slices"
	"time"

	"airloom/internal/room"
)

// regains is how often a room is loaded anew that goes on meanwhile.
const regains = 5

// regain takes in what the fold had to go on without, once the replica that has it is back. It says whether nothing is missing any more:
// until then no snapshot is written, as it would be one of a room that never was.
func (s *Service) regain(ctx context.Context) bool {
	err := s.log.Regain(ctx, func(e *room.Event) error {
		s.mu.Lock()
		s.watch.ledger.lacks(e.Room, e.Position, time.Now())
		s.mu.Unlock()
		for range regains {
			state, err := s.log.Load(ctx, e.Room)
			if err != nil {
				return err
			}
			s.mu.Lock()
			done := s.watch.Replace(state, e.Position, time.Now())
			s.mu.Unlock()
			if done {
				return nil
			}
		}
		s.logger.Warn("a room is known without an event that is there again: its snapshot will have it, and so will the next start of presence",
			"room", e.Room, "position", e.Position)
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.logger.Warn("no snapshots are written until every replica of the event stream is back, or taken out of its cluster", "reason", err)
	}
	return err == nil
}

// Replace puts a room that was loaded in the place of the one that was folded, which lacks the event at a position. It does not where the
// loaded one is behind.
func (w *watch) Replace(state *room.State, position uint64, now time.Time) bool {
	rm := w.room(state.Room)
	if state.Position < max(position, rm.state.Position) {
		return false
	}
	known := slices.Collect(maps.Keys(rm.sessions))
	rm.state = state
	for _, session := range slices.AppendSeq(known, maps.Keys(state.Sessions)) {
		w.settle(rm, session, now)
	}
	w.rest(rm, now)
	return true
}
