package recorder

import (
	"context"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
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

// tap reads one stream in order, from a position on, for ever, without acks: how far the recorder is, it stores itself.
type tap struct {
	js      jetstream.JetStream
	stream  string
	metrics *metrics
	logger  *slog.Logger
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

// read calls each with every message after a position until it returns false. What one replica lacks is read from the others.
func (t *tap) read(ctx context.Context, after uint64, each func(message) bool) error {
	whole, err := bus.OpenWhole(ctx, t.js, t.stream, after, t.logger, t.hole)
	if err != nil {
		return err
	}
	defer whole.Stop()
	whole.Waits = t.metrics.waits
	for {
		m, err := whole.Next()
		if err != nil {
			return err
		}
		if !each(message{pos: m.Position, at: m.At, subject: m.Subject, header: m.Header, data: m.Data}) {
			return nil
		}
	}
}

// hole tells of what a replica lacks. That nobody has it, who folds finds out: it is missing in the order.
func (t *tap) hole(h bus.Hole) {
	if h.Found == 0 {
		return
	}
	t.metrics.recovered.Add(int64(h.Found))
	t.logger.Warn("messages that one replica lacks were read from another one: that server's disk is damaged",
		"stream", t.stream, "from", h.From, "to", h.To, "found", h.Found)
}

// stand is how a stream is right now, by the word of its leader.
type stand struct {
	created     time.Time
	first, last uint64
	firstAt     time.Time // when the first message was stored
}

func (t *tap) stand(ctx context.Context) (stand, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	info, err := bus.AskLeader(ctx, t.js, t.stream)
	if err != nil {
		return stand{}, err
	}
	return stand{created: info.Created.UTC(), first: info.State.FirstSeq, last: info.State.LastSeq, firstAt: info.State.FirstTime}, nil
}
