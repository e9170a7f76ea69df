package outgoing

import "time"

// StallAfter is how long acks may fail to come while the log is there before all is sent again.
const StallAfter = 10 * time.Second

// Live appends the next live packet to dst; dst comes back as it was when nothing is due.
func (o *Track) Live(dst []byte, now time.Time) []byte {
	had := len(dst)
	dst = o.takeLive(dst, now)
	if len(dst) == had && o.ending && o.live < o.next {
		o.silent = false // nothing follows this silence: declare it now
		dst = o.takeLive(dst, now)
	}
	return dst
}

// Backlog appends the next backlog packet to dst, none while the log is away, and at most window frames on their way unacked.
func (o *Track) Backlog(dst []byte, window int) []byte {
	if o.logAway {
		return dst
	}
	return o.takeBacklog(dst, window, o.ending)
}

// Ack takes an ack; backlog says that more may go out for it.
func (o *Track) Ack(seq int64, now time.Time) (news, backlog bool) {
	if news = o.ack(seq); news {
		o.moved = now
	}
	return news, news && o.back < o.backEnd
}

// Resend takes a request to send again from a seq on. The seqs lostFrom..lostTo−1 are no longer kept: they are to be declared as a
// gap; there are none where lostFrom ≥ lostTo.
func (o *Track) Resend(from int64, now time.Time) (lostFrom, lostTo int64) {
	o.moved = now
	if o.passing {
		return 0, 0 // nobody asks for what is not kept
	}
	return o.resend(from)
}

// Reattach takes what an edge that goes on with the track knows as acked. What was sent behind that is to be asked for with Resend,
// from the seq that comes back.
func (o *Track) Reattach(acked int64, now time.Time) (from int64) {
	o.Ack(acked, now)
	o.logAway = false // an edge that knows otherwise says so
	return o.acked + 1
}

// Stalled says that acks have failed to come for so long, though the log is there, that all unacked frames are to be sent again, from
// a seq on: a request to resend may have been lost with an edge.
func (o *Track) Stalled(now time.Time) (from int64, stalled bool) {
	unacked := o.acked+1 < o.live
	if !unacked {
		o.moved = now
	}
	return o.acked + 1, unacked && !o.logAway && now.Sub(o.moved) > StallAfter
}

// SetLogAway takes the edge's word that the log keeps nothing at the moment, or has caught up.
func (o *Track) SetLogAway(away bool, now time.Time) { o.logAway, o.moved = away, now }

// LogAway is that word.
func (o *Track) LogAway() bool { return o.logAway }

// End says that no more frames will come.
func (o *Track) End() { o.ending = true }

// Ending says that no more frames will come.
func (o *Track) Ending() bool { return o.ending }

// Unsent says that frames wait to be sent for the first time.
func (o *Track) Unsent() bool { return o.live < o.next }

// Late says that the track goes as backlog, whole.
func (o *Track) Late() bool { return o.late }

// Unit is how long a frame lasts, in 2.5 ms.
func (o *Track) Unit() uint8 { return o.unit }

// Acked is the seq up to which all is durable, −1 for none.
func (o *Track) Acked() int64 { return o.acked }

// Next is the seq that the next frame gets.
func (o *Track) Next() int64 { return o.next }

// Counts tells of audio frames: added, their bytes, sent more than once, and given up unacked.
func (o *Track) Counts() (frames, bytes, resent, dropped uint64) {
	return o.audio, o.bytes, o.resent, o.dropped
}
