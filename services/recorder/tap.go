package recorder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tapped is how many messages wait between a stream and the fold; when all places are taken, reading stops.
const tapped = 1024

// message is one message of a stream.
type message struct {
	pos     uint64
	at      time.Time // when the stream stored it
	subject string
	header  nats.Header
	data    []byte
}

// tap reads one stream in order, from a position on, for ever. It is one ordered consumer, without acks: how far
// the recorder is, it stores itself.
type tap struct {
	js     jetstream.JetStream
	stream string
	filter []string // nil: everything
	logger *slog.Logger
}

// run sends what comes after a position to out until ctx ends.
func (t *tap) run(ctx context.Context, after uint64, out chan<- message) error {
	for wait := newBackoff(5 * time.Second); ; {
		err := t.read(ctx, after, func(m message) bool {
			select {
			case out <- m:
				after = m.pos
				wait.reset()
				return true
			case <-ctx.Done():
				return false
			}
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.logger.Warn("reading a stream stumbled", "stream", t.stream, "after", after, "error", err)
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// pulling asks for heartbeats: when the server that holds the consumer dies, missing ones are all that tells of it.
var pulling = []jetstream.PullMessagesOpt{
	jetstream.PullMaxMessages(tapped), jetstream.PullExpiry(5 * time.Second), jetstream.PullHeartbeat(time.Second),
}

// read calls each with every message after a position until it returns false.
func (t *tap) read(ctx context.Context, after uint64, each func(message) bool) error {
	consumer, err := t.consumer(ctx, after)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(pulling...)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.stream, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		msg, err := messages.Next()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, jetstream.ErrMsgIteratorClosed) {
				return fmt.Errorf("read %s: %w", t.stream, err)
			}
			t.logger.Warn("reading a stream stumbled", "stream", t.stream, "error", err)
			continue
		}
		m, err := received(msg)
		if err != nil {
			return fmt.Errorf("read %s: %w", t.stream, err)
		}
		if m.pos <= after {
			continue
		}
		after = m.pos
		if !each(m) {
			return nil
		}
	}
}

func (t *tap) consumer(ctx context.Context, after uint64) (jetstream.Consumer, error) {
	consumer, err := t.js.OrderedConsumer(ctx, t.stream, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, FilterSubjects: t.filter,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", t.stream, err)
	}
	return consumer, nil
}

// readThrough calls each with every message after one position up to another, and returns when there is none left.
func (t *tap) readThrough(ctx context.Context, after, through uint64, each func(message)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	consumer, err := t.consumer(ctx, after)
	if err != nil {
		return err
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.stream, err)
	}
	if info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(pulling...)
	if err != nil {
		return fmt.Errorf("read %s: %w", t.stream, err)
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for left := info.NumPending; left > 0; left-- {
		msg, err := messages.Next()
		if err != nil {
			return fmt.Errorf("read %s: %w", t.stream, err)
		}
		m, err := received(msg)
		if err != nil || m.pos > through {
			return err
		}
		each(m)
	}
	return nil
}

func received(msg jetstream.Msg) (message, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return message{}, err
	}
	return message{pos: meta.Sequence.Stream, at: meta.Timestamp, subject: msg.Subject(), header: msg.Headers(), data: msg.Data()}, nil
}

// stand is how a stream is right now, by the word of its leader.
type stand struct {
	created     time.Time
	first, last uint64
}

func (t *tap) stand(ctx context.Context) (stand, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	stream, err := t.js.Stream(ctx, t.stream)
	if err != nil {
		return stand{}, fmt.Errorf("ask for %s: %w", t.stream, err)
	}
	info := stream.CachedInfo()
	return stand{created: info.Created.UTC(), first: info.State.FirstSeq, last: info.State.LastSeq}, nil
}
