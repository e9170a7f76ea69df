package outgoing

// SetKept follows the room's setting. While the room keeps nothing a frame is heard live or not at all: it is let go as soon as it is
// sent, or is too old to be heard, so that it can never go into a log that begins to keep. What was let go is then missing:
// lostFrom..lostTo−1 are to be declared as a gap; there are none where lostFrom ≥ lostTo.
func (o *Track) SetKept(kept bool) (lostFrom, lostTo int64) {
	switch {
	case kept != o.passing:
		return 0, 0
	case kept:
		o.pass(o.next) // also what is just waiting to be sent was said before
		o.passing = false
		return o.acked + 1, o.first
	default:
		o.passing = true
		o.pass(o.live)
		return 0, 0
	}
}

// pass lets go of the frames before a seq.
func (o *Track) pass(to int64) {
	for ; o.first < to; o.first++ {
		if len(o.slot(o.first).payload) > 0 {
			o.passed++
		}
	}
	o.live = max(o.live, o.first)
	o.back, o.backEnd, o.flying = o.live, o.live, nil
}

// Passed counts the audio frames that were said while the room kept nothing.
func (o *Track) Passed() uint64 { return o.passed }
