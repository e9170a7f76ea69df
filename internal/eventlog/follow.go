package eventlog

import (
	"context"
	"fmt"
	"math"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Follow calls fn with every committed event of the region after a position, in order, until ctx ends or fn returns an
// error. caughtUp (which may be nil) is called once, as soon as all that was there at the start has been given to fn. ErrAway
// (wrapped) says that the log went away: follow again from the newest event that fn has had.
func (l *Log) Follow(ctx context.Context, after uint64, caughtUp func(), fn func(*room.Event) error) error {
	if caughtUp == nil {
		caughtUp = func() {}
	}
	stand, err := l.Stand(ctx)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	tail, err := bus.OpenWhole(ctx, l.bus.JetStream(), subject.EventStream(l.region), after, l.logger, l.hole)
	if err != nil {
		return fmt.Errorf("follow events of %s: %w: %w", l.region, ErrAway, err)
	}
	defer tail.Stop()
	for at := after; ; {
		if at >= stand.Last {
			caughtUp()
			stand.Last = math.MaxUint64
		}
		msg, err := tail.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("follow events of %s: %w: %w", l.region, ErrAway, err)
		}
		e, err := l.Decode(msg.Subject, msg.Data, msg.Position)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
		at = msg.Position
	}
}

// hole tells of events that one replica lacks: a fold without them would be another one.
func (l *Log) hole(h bus.Hole) {
	if h.Found > 0 {
		l.logger.Warn("events that one replica lacks were read from another one: that server's disk is damaged", "from", h.From, "to", h.To, "found", h.Found)
	}
	lost := uint64(0)
	for _, span := range h.Lost {
		lost += span.Len()
		l.logger.Error("ALARM: the event log skips", "from", span.From, "to", span.To)
	}
	l.metrics.hole(h.Found, lost)
}
