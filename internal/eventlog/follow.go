package eventlog

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

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
	tail, err := bus.OpenTail(ctx, l.bus.JetStream(), subject.EventStream(l.region), after)
	if err != nil {
		return fmt.Errorf("follow events of %s: %w: %w", l.region, ErrAway, err)
	}
	defer tail.Stop()
	if tail.Pending == 0 {
		caughtUp()
	}
	for seen := uint64(0); ; {
		msg, meta, err := tail.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("follow events of %s: %w: %w", l.region, ErrAway, err)
		}
		if err := l.hand(msg, meta.Sequence.Stream, fn); err != nil {
			return err
		}
		if seen++; seen == tail.Pending {
			caughtUp()
		}
	}
}

func (l *Log) hand(msg jetstream.Msg, position uint64, fn func(*room.Event) error) error {
	e, err := l.Decode(msg.Subject(), msg.Data(), position)
	if err != nil {
		return err
	}
	return fn(e)
}
