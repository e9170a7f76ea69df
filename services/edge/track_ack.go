package edge

import (
	"context"
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
	if log.acked >= frame.MaxSeq {
		return
	}
	through := log.durable.Through(uint32(log.acked + 1))
	if through <= log.acked {
		return
	}
	log.acked, log.due = through, true
	t.wake()
	if t.ended || now-log.told >= int64(ackEvery) { // a track that ended while the log was away gets no tick any more
		t.tellAck(epoch, log, now)
	}
}

func (t *track) tellAck(epoch uint8, log *epochLog, now int64) {
	log.told, log.due = now, false
	if log.acked >= 0 && t.kept {
		t.session.send(text(ackMessage{Type: "ack", Track: t.id, Epoch: epoch, Seq: uint32(log.acked)}))
	}
}

// tick flushes what has waited long enough and lets speaking lapse; it runs every 20 ms.
func (t *track) tick(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.builder.Count() > 0 && now-t.opened >= int64(packEvery) {
		t.flush(now)
	}
	for epoch, log := range t.epochs {
		if log.due && now-log.told >= int64(ackEvery) {
			t.tellAck(epoch, log, now)
		}
		if log.lost >= 0 && t.edge.outbox.hasRoom(t) {
			t.askAgain(epoch, log)
		}
	}
	switch {
	case t.speaks && now-t.voiceAt > int64(voiceHold):
		t.say(false, now)
	case t.speaks && now-t.saidAt > int64(voiceRepeat):
		t.say(true, now)
	}
}

// mayDeclare bounds the gaps that a speaker declares: each is an event for ever.
func (t *track) mayDeclare() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaps++
	return t.gaps <= maxHoles
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

// setKept follows the room's setting. What was not kept counts as done, so that acks are right from here on; what was taken to be kept before
// that, and is not in the log yet, does not.
func (t *track) setKept(kept bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was, now := t.kept, nanotime()
	if was && !kept {
		t.flush(now)
	}
	t.kept = kept
	for epoch, log := range t.epochs {
		switch {
		case was && !kept:
			log.owe()
		case !was && kept:
			log.letGo()
			t.advance(epoch, log, now)
		}
	}
}

// owe notes what was received and is not durable: it waits in the outbox, or is asked for again.
func (l *epochLog) owe() {
	l.owed = frame.Ranges{}
	for r := range l.received.All() {
		for open := range l.durable.Gaps(r.From, r.To) {
			l.owed.Add(open.From, open.To)
		}
	}
}

// letGo counts as done what was received and is not owed.
func (l *epochLog) letGo() {
	for r := range l.received.All() {
		for done := range l.owed.Gaps(r.From, r.To) {
			l.durable.Add(done.From, done.To)
		}
	}
}

// resend asks the speaker for what the outbox had no room for, or gave up.
func (t *track) resend() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for epoch, log := range t.epochs {
		if log.lost >= 0 {
			t.askAgain(epoch, log)
		}
	}
}

// lose is told by the outbox that it has given up a pack without an ack.
func (t *track) lose(epoch uint8, first uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if log := t.epochs[epoch]; log != nil && !t.ended {
		log.lose(first)
	}
}

func (l *epochLog) lose(first uint32) {
	if l.lost < 0 || int64(first) < l.lost {
		l.lost = int64(first)
	}
}

func (t *track) askAgain(epoch uint8, log *epochLog) {
	from := uint32(log.lost)
	log.lost = -1
	forgetFrom(log, from)
	t.session.send(text(resendMessage{Type: "resend", Track: t.id, Epoch: epoch, From: from}))
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
	if log == nil || log.acked >= seq || !t.kept || t.ended {
		return nil
	}
	if t.moved == nil {
		t.moved = make(chan struct{})
	}
	return t.moved
}

// wake lets those that wait for acks look again. The caller holds mu.
func (t *track) wake() {
	if t.moved != nil {
		close(t.moved)
		t.moved = nil
	}
}

// await returns true when all up to seq is acked, or the track has ended; false when ctx ended or away was closed first.
func (t *track) await(ctx context.Context, epoch uint8, seq int64, away <-chan struct{}) bool {
	for {
		acked := t.whenAcked(epoch, seq)
		if acked == nil {
			return true
		}
		select {
		case <-acked:
		case <-ctx.Done():
			return false
		case <-away:
			return false
		}
	}
}

// awaitLog is await for as long as the log or the speaker is away, and then for as long as acks move.
func (t *track) awaitLog(ctx context.Context, epoch uint8, seq int64) {
	for {
		away, acked := t.edge.outbox.isAway() || !t.session.hasSocket(), t.ackedOf(epoch)
		waiting, cancel := context.WithTimeout(ctx, t.edge.limits.end)
		done := t.await(waiting, epoch, seq, nil)
		cancel()
		if done || ctx.Err() != nil || !away && t.ackedOf(epoch) == acked {
			return
		}
	}
}

func (t *track) ackedOf(epoch uint8) int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if log := t.epochs[epoch]; log != nil {
		return log.acked
	}
	return -1
}

// quiet ends the track's live sound. It says whether the track's end begins to wait for the log with that; else it waits already.
func (t *track) quiet() (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hush(nanotime())
	first, t.late = !t.late, true
	return first
}

func (t *track) hush(now int64) {
	t.flush(now)
	t.ending = true
	if t.speaks {
		t.say(false, now)
	}
}

// end stops the track: what comes after is refused, and nobody waits for its acks any more.
func (t *track) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := nanotime()
	t.hush(now)
	t.ended = true
	t.wake()
	for epoch, log := range t.epochs { // no tick comes any more
		if log.due {
			t.tellAck(epoch, log, now)
		}
	}
}

// reject declares the seqs of a packet whose Opus was refused as a gap, so that they neither hang nor go unexplained.
func (t *track) reject(p *frame.Packet) {
	t.mu.Lock()
	log := t.epochs[p.Epoch]
	far := log == nil || t.ended || p.Last() < p.Seq || int64(p.Seq)-max(t.next, 0) > maxPacketMessage ||
		log.received.Add(p.Seq, p.Last()) == 0
	if !far && p.Epoch == t.epoch && p.Flags&frame.Backlog == 0 {
		t.next = max(t.next, int64(p.Last())+1)
	}
	t.mu.Unlock()
	if far {
		return
	}
	gap := room.GapDeclared{Track: t.id, Epoch: p.Epoch, From: p.Seq, To: p.Last(), Reason: room.Rejected}
	t.edge.untilThen(t.session.hub, "gap", func(s *room.State) (room.Draft, error) { return s.DeclareGap(gap) },
		func() { t.declare(gap.Epoch, gap.From, gap.To) })
}
