package edge

const maxLeft = 64 // parts of a track that are told as left out

// resumes says that a live piece comes after its speaker had no edge for a while: what was said meanwhile may come behind it in the log.
func (o *order) resumes(p *piece) bool {
	return o.reads && p.at >= o.from && p.at-int64(p.first)*p.seqLasts() < o.began
}

// beginLate takes up a track of which nothing more is waited for.
func (o *order) beginLate(l *lane) {
	first := -1
	for i, w := range l.waits {
		if !w.late {
			first = i
			break
		}
		if first < 0 && w.at >= o.from {
			first = i
		}
	}
	o.begin(l, l.waits[max(first, 0)].piece)
}

// begin says where a track is taken up: from its epoch's first seq if that began late enough, else from p on, with what was sent again before
// it, as its speaker had no edge: what was said in the time that is wanted, and what leads up to it and lies in the log where it is wanted.
// Of what else lies there nobody knows whether it belongs there; it is left out, and told with what is missing behind it.
func (o *order) begin(l *lane, p *piece) {
	l.begun, l.epoch, l.next = true, p.epoch, uint64(p.first)
	for i := len(l.waits) - 1; i >= 0; i-- {
		w := l.waits[i]
		if w.epoch != p.epoch || uint64(w.first) >= l.next {
			continue
		}
		said := p.at - (int64(p.first)-int64(w.first))*p.seqLasts()
		if said >= o.began || w.at >= o.from && uint64(w.last)+1 >= l.next {
			l.next = uint64(w.first)
		}
	}
	if p.at-int64(p.first)*p.seqLasts() >= o.began {
		l.next = 0
	}
	o.leaveOut(l)
	o.trim(l)
}

// leaveOut notes what lies before the place where a track is taken up: from the first piece that is left out on all of it, also what never came, but
// for what was given before.
func (o *order) leaveOut(l *lane) {
	from, left := uint64(0), false // told from here on
	for _, w := range l.waits {
		given := w.at < o.from
		if w.epoch != l.epoch || uint64(w.first) >= l.next || given && !left {
			continue
		}
		if !left {
			from, left = uint64(w.first), true
		}
		if given {
			if uint64(w.first) > from {
				l.leave(hole{l.track, l.epoch, uint32(from), w.first - 1})
			}
			from = max(from, uint64(w.last)+1)
		}
	}
	if left && from < l.next {
		l.leave(hole{l.track, l.epoch, uint32(from), uint32(l.next - 1)})
	}
}

// leave notes what is left out; what is in too many parts is told as one that has them all.
func (l *lane) leave(h hole) {
	if n := len(l.left); n == maxLeft || n > 0 && uint64(l.left[n-1].to)+1 >= uint64(h.from) {
		l.left[n-1].to = max(l.left[n-1].to, h.to)
		return
	}
	l.left = append(l.left, h)
}
