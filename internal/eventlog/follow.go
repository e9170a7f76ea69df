package eventlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// Follow calls fn with every committed event of the region after a position, in order, until ctx ends or fn returns an
// error. caughtUp (which may be nil) is called once, as soon as all that was there at the start has been given to fn.
func (l *Log) Follow(ctx context.Context, after uint64, caughtUp func(), fn func(*room.Event) error) error {
	if caughtUp == nil {
		caughtUp = func() {}
	}
	messages, pending, err := l.open(ctx, after)
	if err != nil {
		return fmt.Errorf("follow events of %s: %w", l.region, err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	if pending == 0 {
		caughtUp()
	}
	for seen := uint64(0); ; {
		msg, err := messages.Next()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				return fmt.Errorf("follow events of %s: %w", l.region, err)
			}
			l.logger.Warn("following events stumbled", "error", err)
			continue
		}
		if err := l.hand(msg, fn); err != nil {
			return err
		}
		if seen++; seen == pending {
			caughtUp()
		}
	}
}

func (l *Log) open(ctx context.Context, after uint64) (jetstream.MessagesContext, uint64, error) {
	consumer, err := l.bus.JetStream().OrderedConsumer(ctx, subject.EventStream(l.region), jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrAway, err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrAway, err)
	}
	// When the server that holds the consumer dies, missing heartbeats are all that tells of it.
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1000),
		jetstream.PullExpiry(5*time.Second), jetstream.PullHeartbeat(time.Second))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return messages, info.NumPending, nil
}

func (l *Log) hand(msg jetstream.Msg, fn func(*room.Event) error) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("follow events of %s: %w", l.region, err)
	}
	e, err := l.Decode(msg.Data(), meta.Sequence.Stream)
	if err != nil || e == nil {
		return err
	}
	return fn(e)
}
