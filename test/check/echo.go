package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/subject"
)

// echo says again, with an edge's rights, what others said: packs of the log as they were, in another order, or with other bytes; and live packets, late.
// It is what resends, reconnects and a broken or a wicked edge do to a log, at will.
type echo struct {
	stop context.CancelFunc
	done chan struct{}
}

func echoes(ctx context.Context, c *cluster, f fault) error {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &echo{stop: stop, done: make(chan struct{})}
	c.mu.Lock()
	c.echo = e
	c.mu.Unlock()
	go func() {
		defer close(e.done)
		e.run(ctx, c, rand.New(rand.NewPCG(uint64(f.amount), 1)))
	}()
	return nil
}

func hush(_ context.Context, c *cluster, _ fault) error {
	c.mu.Lock()
	e := c.echo
	c.mu.Unlock()
	e.stop()
	<-e.done
	return nil
}

// run connects and works; where NATS does not answer there is nothing to be said again.
func (e *echo) run(ctx context.Context, c *cluster, rng *rand.Rand) {
	reader, err := c.connect(ctx, bus.Admin, c.urls())
	if err != nil {
		return
	}
	defer reader.Close()
	writer, err := c.connect(ctx, bus.Edge, c.urls())
	if err != nil {
		return
	}
	defer writer.Close()
	live := make(chan *nats.Msg, 256)
	if _, err := writer.Conn().ChanSubscribe("live.*.*.*.*", live); err != nil {
		return
	}
	packs, err := reader.JetStream().OrderedConsumer(ctx, subject.LogStream(region), jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		return
	}
	logged := make(chan *nats.Msg, 256)
	consumed, err := packs.Consume(func(m jetstream.Msg) {
		select {
		case logged <- &nats.Msg{Subject: m.Subject(), Data: m.Data()}:
		default: // it says again what it can
		}
	})
	if err != nil {
		return
	}
	defer consumed.Stop()
	e.repeat(ctx, writer, rng, live, logged)
}

// repeat keeps some messages for a while and sends them in any order.
func (e *echo) repeat(ctx context.Context, to *bus.Bus, rng *rand.Rand, live, logged <-chan *nats.Msg) {
	var kept []*nats.Msg
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-live:
			if rng.IntN(4) == 0 {
				kept = append(kept, m)
			}
		case m := <-logged:
			switch rng.IntN(8) {
			case 0, 1, 2:
				kept = append(kept, m)
			case 3:
				if forged, err := forge(m); err == nil {
					kept = append(kept, forged)
				}
			}
		case <-tick.C:
			rng.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
			for range min(len(kept), rng.IntN(20)) {
				_ = to.Publish(kept[0].Subject, kept[0].Data) // while NATS is away it is lost, as it may be
				kept = kept[1:]
			}
		}
	}
}

// forge makes a pack of the same frames with other bytes.
func forge(m *nats.Msg) (*nats.Msg, error) {
	var p frame.Packet
	if _, err := frame.Parse(m.Data, &p); err != nil {
		return nil, err
	}
	var frames [][]byte
	for f := range p.Frames {
		key, seq, err := heardSound(f.Payload)
		if err != nil {
			return nil, err
		}
		frames = append(frames, sound(^key, seq))
	}
	if len(frames) == 0 {
		return nil, errors.New("silence has no bytes")
	}
	data, err := frame.AppendAudio(nil, frame.Header{Handle: p.Handle, Epoch: p.Epoch, Seq: p.Seq, Timestamp: p.Timestamp}, frames...)
	return &nats.Msg{Subject: m.Subject, Data: data}, err
}
