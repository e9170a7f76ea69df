package edge

import (
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

const ackEvery = 100 * time.Millisecond

// durable is told by the outbox that the log has these seqs.
func (t *track) durable(epoch uint8, first, last uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	log := t.epochs[epoch]
	if log == nil {
		return
	}
	log.durable.Add(first, last)
	t.advance(epoch, log, nanotime())
}

// advance moves an epoch's ack as far as all is durable, and tells the speaker at most ten times a second.
func (t *track) advance(epoch uint8, log *epochLog, now int64) {
	hole, _ := log.durable.Hole(uint32(log.acked + 1))
	if int64(hole)-1 <= log.acked {
		return
	}
	log.acked = int64(hole) - 1
	for _, w := range t.waiters {
		close(w)
	}
	t.waiters = nil
	if epoch != t.epoch || now-t.ackAt >= int64(ackEvery) {
		t.tellAck(epoch, log, now)
		return
	}
	t.ackDue = true
}

func (t *track) tellAck(epoch uint8, log *epochLog, now int64) {
	if log.acked < 0 || !t.kept {
		return
	}
	t.ackAt, t.ackDue = now, false
	t.session.send(text(ackMessage{Type: "ack", Track: t.id, Epoch: epoch, Seq: uint32(log.acked)}))
}

// tick flushes what has waited long enough and lets speaking lapse; it runs every 20 ms.
func (t *track) tick(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.builder.Count() > 0 && now-t.opened >= int64(packEvery) {
		t.flush(now)
	}
	if t.ackDue && now-t.ackAt >= int64(ackEvery) {
		if log := t.epochs[t.epoch]; log != nil {
			t.tellAck(t.epoch, log, now)
		}
		t.ackDue = false
	}
	switch {
	case t.speaks && now-t.voiceAt > int64(voiceHold):
		t.say(false, now)
	case t.speaks && now-t.saidAt > int64(voiceRepeat):
		t.say(true, now)
	}
}

// declare takes the speaker's word that it no longer has these frames.
func (t *track) declare(epoch uint8, from, to uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if log := t.epochs[epoch]; log != nil {
		log.received.Add(from, to)
		log.durable.Add(from, to)
		t.advance(epoch, log, nanotime())
	}
}

// setKept follows the room's setting. What was not kept counts as done, so that acks are right from here on.
func (t *track) setKept(kept bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.kept && kept {
		for _, log := range t.epochs {
			for r := range log.received.All() {
				log.durable.Add(r.From, r.To)
			}
			if hole, _ := log.durable.Hole(uint32(log.acked + 1)); int64(hole)-1 > log.acked {
				log.acked = int64(hole) - 1
			}
		}
	}
	if t.kept && !kept {
		t.flush(nanotime())
	}
	t.kept = kept
}

// resend asks the speaker for what the outbox had no room for.
func (t *track) resend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for epoch, log := range t.epochs {
		if log.lost < 0 {
			continue
		}
		from := uint32(log.lost)
		log.lost = -1
		forgetFrom(log, from)
		t.session.send(text(resendMessage{Type: "resend", Track: t.id, Epoch: epoch, From: from}))
	}
}

// forgetFrom makes seqs from `from` on that are not durable count as not received, so that they are taken again.
func forgetFrom(log *epochLog, from uint32) {
	var received frame.Ranges
	for r := range log.received.All() {
		if r.From < from {
			received.Add(r.From, min(r.To, from-1))
		}
	}
	for r := range log.durable.All() {
		received.Add(r.From, r.To)
	}
	log.received = received
}

// acked gives the ack of the newest epoch.
func (t *track) ackedNow() (epoch uint8, acked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.epoch, t.epochs[t.epoch].acked
}

// whenAcked gives a channel that closes at the next ack, or nil when seq is acked already (or nothing is kept).
func (t *track) whenAcked(epoch uint8, seq int64) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush(nanotime())
	log := t.epochs[epoch]
	if log == nil || log.acked >= seq || !t.kept {
		return nil
	}
	w := make(chan struct{})
	t.waiters = append(t.waiters, w)
	return w
}

// end stops the track: what comes after is refused.
func (t *track) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := nanotime()
	t.flush(now)
	t.ended = true
	if t.speaks {
		t.say(false, now)
	}
	if log := t.epochs[t.epoch]; t.ackDue && log != nil { // no tick comes any more
		t.tellAck(t.epoch, log, now)
	}
}

// reject declares the seqs of a packet whose Opus was refused as a gap, so that they neither hang nor go unexplained.
func (t *track) reject(p *frame.Packet) {
	t.mu.Lock()
	log := t.epochs[p.Epoch]
	far := log == nil || !t.begun || int64(p.Seq)-int64(t.next) > maxPacketMessage || log.received.Contains(p.Seq)
	if !far && p.Seq >= t.next && p.Epoch == t.epoch {
		t.next = p.Last() + 1
	}
	t.mu.Unlock()
	if far {
		return
	}
	t.declare(p.Epoch, p.Seq, p.Last())
	gap := room.GapDeclared{Track: t.id, Epoch: p.Epoch, From: p.Seq, To: p.Last(), Reason: room.Rejected}
	t.edge.until(t.session.hub, "gap", func(s *room.State) (room.Draft, error) { return s.DeclareGap(gap) })
}
