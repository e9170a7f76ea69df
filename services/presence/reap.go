package presence

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"airloom/internal/eventlog"
	"airloom/internal/plant"
	"airloom/internal/room"
)

// reapers bounds the appends in flight: with it three thousand sessions of one dead edge are away within the promised 5 s on two cores and one disk.
const reapers = 32

// reap appends what is due, tick by tick.
func (s *Service) reap(ctx context.Context) {
	every(ctx, s.cfg.Tick, func() {
		s.mu.Lock()
		due := s.watch.Due(time.Now())
		s.mu.Unlock()
		if len(due) > 0 {
			s.appendAll(ctx, due)
		}
	})
}

// appendAll appends the tasks in their order. What is refused or gets no answer is not tried again here: either the fold learns that
// it is done, or it is due again after Config.Retry. When the log is away the rest waits for that too.
func (s *Service) appendAll(ctx context.Context, due []task) {
	ctx, traceparent, end := s.tracer.reap(ctx, len(due))
	defer end()
	var group errgroup.Group
	group.SetLimit(reapers)
	var silent atomic.Bool
	for _, t := range due {
		if silent.Load() || ctx.Err() != nil {
			break
		}
		if !s.stands(t) {
			continue // another presence was faster, or its session came back
		}
		group.Go(func() error {
			// What is begun is finished, also when this process is asked to stop.
			begun, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			position, err := s.log.Append(begun, t.room, t.draft, traceparent)
			switch {
			case err == nil:
				s.tracer.reaped(ctx, t)
				if _, left := t.draft.Fact.(room.Left); left && plant.On(plant.SecondLeft) {
					_, _ = s.log.Append(begun, t.room, room.Draft{Fact: t.draft.Fact, Expect: position}, traceparent) // the checker must find it
				}
			case !errors.Is(err, eventlog.ErrConflict):
				silent.Store(true)
				s.logger.Warn("reaping waits for the log", "room", t.room, "session", t.session, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // its functions return no errors
}

func (s *Service) stands(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watch.Stands(t)
}
