package edge

// closed acks what the log is known to have of a track up to a position, and forgets all else: the track is closed, and no recording
// counts what lies behind that. It gives the tracks of which packs have no PubAck, and behind which position those are, if anywhere.
func (o *outbox) closed(id string, through uint64) (doubtful map[*track]uint64) {
	o.mu.Lock()
	var counts []*pack
	for _, p := range o.waiting {
		switch {
		case p.track.id != id:
			continue
		case p.position == 0:
			doubtful = leastOf(doubtful, p)
		case p.position <= through:
			counts = append(counts, p)
		}
		o.forget(p)
	}
	o.mu.Unlock()
	now := nanotime()
	for _, p := range counts {
		o.durable(p, now)
	}
	return doubtful
}

func leastOf(doubtful map[*track]uint64, p *pack) map[*track]uint64 {
	if doubtful == nil {
		doubtful = map[*track]uint64{}
	}
	if least, ok := doubtful[p.track]; !ok || p.behind < least {
		doubtful[p.track] = p.behind
	}
	return doubtful
}
