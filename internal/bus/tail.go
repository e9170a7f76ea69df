package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

const (
	tailBatch    = 1000             // messages asked for at once
	tailBeat     = time.Second      // two beats missed tell that the consumer's server is dead
	tailPatience = 3 * time.Second  // for the making of a consumer: a dead server that was chosen for it never answers
	tailForgot   = 60 * time.Second // after which the server forgets a consumer that nobody reads
)

// Tail reads one stream in order from a position on, without acks. It ends at whatever could have cost a message (its server dies,
// the connection is lost, a number is skipped), and its owner opens another one from where it was.
//
// The ordered consumer of nats.go mends itself instead, under one name: when a cluster has put that name on a server that has
// just died, it asks for it until that server is back.
type Tail struct {
	Pending uint64 // messages that were waiting when it was opened

	stream   string
	messages jetstream.MessagesContext
	numbered uint64 // consumer sequence of the newest message
	unhook   func() bool
	forget   func()
}

// ErrTail is wrapped by what Next returns when reading has to begin anew.
var ErrTail = errors.New("reading the stream was interrupted")

// OpenTail reads what comes behind a position, on the subjects of filter or all. It ends with ctx. Its owner calls Stop.
func OpenTail(ctx context.Context, js jetstream.JetStream, stream string, after uint64, filter ...string) (*Tail, error) {
	making, cancel := context.WithTimeout(ctx, tailPatience)
	defer cancel()
	consumer, err := js.CreateConsumer(making, stream, jetstream.ConsumerConfig{
		Name: nuid.Next(), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1, FilterSubjects: filter,
		AckPolicy: jetstream.AckNonePolicy, Replicas: 1, MemoryStorage: true, InactiveThreshold: tailForgot,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", stream, err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(tailBatch), jetstream.PullExpiry(5*time.Second), jetstream.PullHeartbeat(tailBeat))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", stream, err)
	}
	t := &Tail{Pending: consumer.CachedInfo().NumPending, stream: stream, messages: messages}
	t.unhook = context.AfterFunc(ctx, messages.Stop)
	t.forget = stopAtReconnect(js.Conn(), messages)
	return t, nil
}

// stopAtReconnect ends the reading when the connection comes back: what was on its way then is lost, and counts as delivered.
func stopAtReconnect(conn *nats.Conn, messages jetstream.MessagesContext) (forget func()) {
	back := conn.StatusChanged(nats.CONNECTED)
	go func() {
		for range back { // closed by forget
			messages.Stop()
		}
	}()
	return func() { conn.RemoveStatusListener(back) }
}

// Next gives the next message. Every error is final and wraps ErrTail.
func (t *Tail) Next() (jetstream.Msg, *jetstream.MsgMetadata, error) {
	return t.next(0)
}

// next is Next with a bound, after which it says nats.ErrTimeout and goes on at the next call; 0: none.
func (t *Tail) next(within time.Duration) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	var msg jetstream.Msg
	var err error
	if within > 0 {
		msg, err = t.messages.Next(jetstream.NextMaxWait(within))
	} else {
		msg, err = t.messages.Next()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w: %w", t.stream, ErrTail, err)
	}
	meta, err := msg.Metadata()
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w: %w", t.stream, ErrTail, err)
	}
	if meta.Sequence.Consumer != t.numbered+1 {
		return nil, nil, fmt.Errorf("read %s: %w: message %d came after %d", t.stream, ErrTail, meta.Sequence.Consumer, t.numbered)
	}
	t.numbered++
	return msg, meta, nil
}

// Stop ends the reading and frees what it holds; it may be called once only.
func (t *Tail) Stop() {
	t.unhook()
	t.forget()
	t.messages.Stop()
}
