package edge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
)

// carrier is all that the outbox needs of NATS, so that its machine test can put a worse one in its place.
type carrier interface {
	// PublishMsg sends now or fails at once.
	PublishMsg(msg *nats.Msg) error
	// Replies calls f, one message at a time, with all that comes on the subject, until stop is called.
	Replies(subject string, f func(*nats.Msg)) (stop func(), err error)
}

// busCarrier is NATS itself.
type busCarrier struct{ *bus.Bus }

// Replies implements carrier.
func (b busCarrier) Replies(subject string, f func(*nats.Msg)) (stop func(), err error) {
	sub, err := b.Conn().Subscribe(subject, f)
	if err != nil {
		return nil, err
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// run hears the log's answers and sends again what was not acked, until ctx ends.
func (o *outbox) run(ctx context.Context) error {
	stop, err := o.hear()
	if err != nil {
		return err
	}
	defer stop()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			o.retry(nanotime())
		}
	}
}

// hear takes the log's answers until stop is called.
func (o *outbox) hear() (stop func(), err error) {
	stop, err = o.log.Replies(o.inbox+".*", o.answer)
	if err != nil {
		return nil, fmt.Errorf("subscribe to the log's acks: %w", err)
	}
	return stop, nil
}

// retry sends what is due, oldest first, and notices when the log goes away and comes back.
func (o *outbox) retry(now int64) {
	o.mu.Lock()
	given := o.giveUpHeld(now)
	var due []*pack
	oldest := now
	for _, p := range o.waiting {
		oldest = min(oldest, p.born)
		if p.position == 0 && (p.sent == 0 || now-p.sent > int64(p.wait)) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b *pack) int { return int(int64(a.id) - int64(b.id)) })
	due = o.window(due)
	for _, p := range due {
		if p.sent == 0 {
			o.flight++
		} else {
			o.metrics.resent.Add(1)
			p.wait = min(2*p.wait, resendMost)
		}
		p.sent = now
	}
	away, changed := o.judge(now, oldest)
	o.mu.Unlock()
	for _, p := range given {
		p.track.lose(p.epoch, p.first)
	}
	for _, p := range due {
		o.send(p)
	}
	if changed {
		o.tell(away)
	}
}

// window keeps, of what is due, as much as may be sent at once; a pack that was never sent waits until fewer are under way. The caller holds
// mu.
func (o *outbox) window(due []*pack) []*pack {
	room := outboxWindow - o.flight
	due = slices.DeleteFunc(due, func(p *pack) bool {
		if p.sent == 0 {
			room--
		}
		return p.sent == 0 && room < 0
	})
	return due[:min(len(due), outboxWindow)]
}

// judge says whether the log is away, given when the oldest pack was born that waits. The caller holds mu.
func (o *outbox) judge(now, oldest int64) (away, changed bool) {
	switch {
	case !o.away && now-oldest > int64(awayAfter):
		o.away, changed = true, true
		close(o.gone)
	case o.away && now-oldest < int64(caughtUp): // what waits now is fresh: a busy edge never has nothing under way
		o.away, changed = false, true
		o.gone = make(chan struct{})
	}
	return o.away, changed
}
