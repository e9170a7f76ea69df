package edge

import (
	"airloom/internal/room"
)

// expect takes from the fold how far a track went that is over, though this edge may not have seen all of it.
func (t *track) expect(known *room.Track) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if log := t.epochs[known.EndEpoch]; log != nil && known.EndKnown && known.Last >= 0 {
		log.received.Add(0, uint32(known.Last))
	}
}

// whole says that all of the track is acked, as far as it is known here.
func (t *track) whole() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case !t.kept:
		return true
	case t.unread:
		return false
	}
	for _, log := range t.epochs {
		if log.acked < log.received.Last() {
			return false
		}
	}
	return true
}

// tellClosed tells the speaker how much of each epoch counts, and that no ack follows. It returns how many seqs do not.
func (t *track) tellClosed() (missing uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := nanotime()
	for epoch, log := range t.epochs {
		if log.due {
			t.tellAck(epoch, log, now)
		}
		kept := log.durable.Count()
		missing += uint64(log.received.Last()+1) - min(kept, uint64(log.received.Last()+1))
		if t.kept {
			t.session.send(text(closedMessage{Type: "closed", Track: t.id, Epoch: epoch, Acked: log.acked, Kept: kept}))
		}
	}
	return missing
}

// isOver says that the track has ended and nobody waits to hear how: all of it is acked, or its session is not on this edge any more.
func (t *track) isOver(known *room.Track) bool {
	ended := t.isEnded()
	if !ended || t.session.isOver() {
		return ended
	}
	t.expect(known)
	return known.Ended && t.whole()
}

// owes makes a speaker be told how its track ended though it did not ask for the end, or asked another edge: it may have sent more than is known
// here, and would wait for that.
func (t *track) owes(unread bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owed, t.unread = true, t.unread || unread
}

// isOwed says that the speaker waits for a word that nothing else brings.
func (t *track) isOwed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owed
}

func (t *track) tellAcks() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := nanotime()
	for epoch, log := range t.epochs {
		t.tellAck(epoch, log, now)
	}
}
