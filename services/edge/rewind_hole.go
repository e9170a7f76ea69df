package edge

import (
	"context"
)

// bridge is for a lane whose next piece does not join: it looks ahead in the log for what lies before it, then reads again what
// should be there, and then tells the hole. Near the log's head it waits for it, while other tracks go on.
func (p *player) bridge(ctx context.Context, l *lane, now int64) {
	w := l.waits[0]
	if p.feed(ctx, w.place+int64(lookAhead), now) {
		return
	}
	full := p.order.bytes >= p.most()
	over := len(p.unfed) > 0 && p.unfed[0].at > w.place+int64(lookAhead)
	if !full && !over && (p.failed || p.head && !p.old(w, now) && !p.declared(l)) {
		l.parked = true
		return
	}
	if !l.begun {
		p.order.beginLate(l)
		return
	}
	h, missing := l.missing()
	if missing && w.place >= p.from {
		from := max(l.position, p.start)
		// What was sent again may lie behind what it comes before, as far as the log was looked at.
		found, err := p.reel.mend(h, min(from, w.position), max(from, w.position, p.read))
		if err != nil { // nobody can say yet
			l.parked, p.failed = true, true
			return
		}
		if len(found) > 0 && p.takeIn(l, found) {
			return
		}
		p.skipped(h)
	}
	l.skip()
}

// old says that what lies behind a hole is in the log for so long that nobody fills the hole any more: the log has gone on for so long by
// its own clock, or this edge has known of it for so long by its own. The one clock is never held against the other.
func (p *player) old(w entry, now int64) bool {
	patience := int64(p.hub.edge.limits.hole)
	return p.fed-w.at >= patience || now-w.came >= patience
}

// takeIn puts what was found again in order; false where it brought nothing nearer.
func (p *player) takeIn(l *lane, found []*piece) bool {
	was := l.waits[0]
	for _, piece := range found {
		p.order.add(piece)
	}
	now := l.waits[0]
	return now.epoch != was.epoch || now.first != was.first
}

// declared says that somebody has said of the whole hole that it will never be filled.
func (p *player) declared(l *lane) bool {
	h, missing := l.missing()
	if w := l.waits[0]; !l.begun && w.first > 0 { // what comes right before it would tell where the track is taken up
		h.from, missing = w.first-1, true
	}
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	known := p.hub.state.Tracks[l.track]
	if known == nil || !missing {
		return false
	}
	for _, gap := range known.Gaps {
		if gap.Epoch == h.epoch && gap.From <= h.from && gap.To >= h.to {
			return true
		}
	}
	return false
}
