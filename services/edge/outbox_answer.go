package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// answer takes one reply of the log. A PubAck counts at once where the track's lease says that the log still takes what it is given
// for the track; otherwise the pack is held until that is known.
func (o *outbox) answer(msg *nats.Msg) {
	id, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 10, 64)
	if err != nil {
		return
	}
	position, ok := stored(msg)
	if !ok {
		o.metrics.drop("log_refused")
		return // sent again by retry
	}
	now := nanotime()
	o.mu.Lock()
	o.newest = max(o.newest, position)
	p := o.waiting[id]
	if p == nil || p.position != 0 {
		o.mu.Unlock()
		return // it was sent twice
	}
	if !p.track.leased() {
		o.hold(p, position, now)
		o.mu.Unlock()
		return
	}
	o.forget(p)
	o.mu.Unlock()
	o.durable(p, now)
}

func (o *outbox) durable(p *pack, now int64) {
	o.metrics.acked.Add(1)
	o.metrics.ackSeconds.Record(context.Background(), time.Duration(now-p.born).Seconds())
	p.track.durable(p.epoch, p.first, p.last)
}

// hold keeps a pack that is stored until it is known whether that counts. The caller holds mu.
func (o *outbox) hold(p *pack, position uint64, now int64) {
	if p.underWay() {
		o.flight--
	}
	p.position, p.storedAt = position, now
	o.held[p.track]++
}

// giveUpHeld forgets, unacked, what has been held for too long: its room has not been heard of, and it may never count.
// It gives what it forgot, for the speaker to be asked for it again, should the room be heard of after all. The caller holds mu.
func (o *outbox) giveUpHeld(now int64) (given []*pack) {
	if len(o.held) == 0 {
		return nil
	}
	for _, p := range o.waiting {
		if p.position != 0 && now-p.storedAt > int64(heldMost) {
			o.forget(p)
			o.metrics.drop("never_acked")
			given = append(given, p)
		}
	}
	return given
}

// release acks what is held of a track that has a lease again.
func (o *outbox) release(t *track) {
	o.mu.Lock()
	var counts []*pack
	if o.held[t] > 0 {
		for _, p := range o.waiting {
			if p.track == t && p.position != 0 {
				o.forget(p)
				counts = append(counts, p)
			}
		}
	}
	o.mu.Unlock()
	now := nanotime()
	for _, p := range counts {
		o.durable(p, now)
	}
}

// stored tells a PubAck, with the position in the log, from a refusal and from "no responders".
func stored(msg *nats.Msg) (position uint64, ok bool) {
	if len(msg.Data) == 0 || bytes.Contains(msg.Data, []byte(`"error"`)) {
		return 0, false
	}
	var ack struct {
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
	}
	err := json.Unmarshal(msg.Data, &ack)
	return ack.Seq, err == nil && ack.Stream != "" && ack.Seq > 0
}
