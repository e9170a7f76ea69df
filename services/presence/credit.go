package presence

import (
	"context"
	"maps"
	"slices"
	"time"

	"airloom/internal/eventlog"
)

// credit counts the time that sessions had been away before this presence knew of it, so that a restart of presence gives nobody
// another 30 s in the roster. Until it is known, and where it cannot be known, the wait begins anew with this process.
//
// Why it takes nothing from a right to resume. Both times are of one clock, the one of the server that leads the event stream:
// when it stored the session's newest event, and its answer to "what time is it". They are compared only where the event is no older than the
// moment since which that server leads. If that server stored it, the difference is the time that passed. If another server did, before,
// by a clock that is ahead, then more time has passed than the difference: the event came before that moment and counts as if it came
// after. A stream on one server alone has no such moment to tell; there the mark of the snapshots says since when this very process of
// the server was seen. So the log was there for all the time that counts, and who came back could have been written down.
// The newest event of a session that is away is its away, or one behind it; only where the replica that answered means the same event
// as the fold: one that lags would name an event of before the away, perhaps an hour old. What is not covered: somebody who sets the server's
// clock forward between the two.
func (s *Service) credit(ctx context.Context) {
	waiting := s.waitingByRoom()
	if len(waiting) == 0 {
		return
	}
	stand, err := s.log.Stand(ctx)
	if err != nil {
		s.logger.Warn("who is away gets the whole time to resume again", "reason", err)
		return
	}
	answered := time.Now()
	since := ledSince(stand.Clock, s.mark.Clock)
	if since.IsZero() {
		return
	}
	for name, sessions := range waiting {
		newest, err := s.log.Newest(ctx, name, slices.Collect(maps.Keys(sessions)))
		if err != nil {
			s.logger.Warn("who is away gets the whole time to resume again", "room", name, "reason", err)
			return
		}
		s.mu.Lock()
		for session, taken := range newest {
			if !taken.At.Before(since) {
				s.watch.AwaySince(name, session, sessions[session], taken.Position, answered.Add(-stand.Now.Sub(taken.At)))
			}
		}
		s.mu.Unlock()
	}
}

// ledSince is since when the server that leads the stream now has surely led it, by its own clock; zero where that cannot be told.
func ledSince(now, marked eventlog.Clock) time.Time {
	if now.Since.IsZero() && now.Server != "" && now.Server == marked.Server {
		return marked.Since
	}
	return now.Since
}

// waitingByRoom gives the sessions that are away, and since when this process knows.
func (s *Service) waitingByRoom() map[string]map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms := map[string]map[string]time.Time{}
	for one := range s.watch.waiting {
		if one.standing != away {
			continue
		}
		name := one.room.state.Room
		if rooms[name] == nil {
			rooms[name] = map[string]time.Time{}
		}
		rooms[name][one.session] = one.since
	}
	return rooms
}

// AwaySince says that a session, which this process knows to be away since known, was so before, as its newest event at a position tells.
// Has it been back meanwhile, that was another absence; and of an event that is not the newest one folded it says nothing.
func (w *watch) AwaySince(roomName, session string, known time.Time, position uint64, since time.Time) {
	rm := w.rooms[roomName]
	if rm == nil || rm.state.LastOn("session", session) != position {
		return
	}
	if s := rm.sessions[session]; s != nil && s.standing == away && s.since.Equal(known) && since.Before(known) {
		s.since = since
	}
}
