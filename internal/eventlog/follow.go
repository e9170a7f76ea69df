package eventlog

import (
	"context"
	"fmt"
	"time"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Follow calls fn with every committed event of the region after a position, in order, until ctx ends or fn returns an
// error. caughtUp (which may be nil) is called once, as soon as all that was there at the start has been given to fn, but for what nobody
// has any more. Where only a replica that is away may have an event, it is waited for as long as bus.HolePatience: who follows must act
// on what comes; see Regain. ErrAway (wrapped) says that the log went away: follow again from the newest event that fn has had.
func (l *Log) Follow(ctx context.Context, after uint64, caughtUp func(), fn func(*room.Event) error) error {
	stand, err := l.Stand(ctx)
	if err != nil {
		return fmt.Errorf("follow events: %w", err)
	}
	reached := func(position uint64) {
		if caughtUp != nil && position >= stand.Last {
			caughtUp()
			caughtUp = nil
		}
	}
	tail, err := bus.OpenWhole(ctx, l.bus.JetStream(), subject.EventStream(l.region), after, l.logger, func(h bus.Hole) {
		l.skipped.add(h.Lost) // before anything behind it is folded
		l.hole(h)
		if h.Found == 0 { // what came before it was given, and nothing is found in it that will be
			reached(h.To)
		}
	})
	if err != nil {
		return fmt.Errorf("follow events of %s: %w: %w", l.region, ErrAway, err)
	}
	defer tail.Stop()
	tail.Patience = bus.HolePatience
	tail.Waits = func(since time.Time) { l.mending.Store(!since.IsZero()) }
	for at := after; ; {
		reached(at)
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

// Mending says whether following reads what a replica lacks from the others just now, or waits for them: that it makes no way is no
// reason to follow anew.
func (l *Log) Mending() bool { return l.mending.Load() }

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
