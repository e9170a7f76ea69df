package participant

import (
	"slices"
	"time"

	"airloom/internal/outgoing"

	"github.com/gorilla/websocket"
)

const (
	pingEvery = 2 * time.Second
	// deadAfter is how long a socket may be silent, though pings are sent, before it is given up.
	deadAfter = 7 * time.Second
)

// kick tells the pump that there may be something to send.
func (p *Participant) kick() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// pump writes what the speakers have: new frames first, then backlog as acks allow. It also pings and gives up dead
// sockets.
func (p *Participant) pump() {
	defer p.work.Done()
	ticker := time.NewTicker(p.cfg.pingEvery)
	defer ticker.Stop()
	buf := make([]byte, 0, 8<<10)
	for {
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
			p.tick()
		case <-p.wake:
		}
		for p.flush(&buf) {
		}
	}
}

// flush sends one message; false when nothing is due or there is no socket.
func (p *Participant) flush(buf *[]byte) bool {
	p.mu.Lock()
	l, speakers := p.link, p.speakers
	p.mu.Unlock()
	if l == nil || len(speakers) == 0 {
		return false
	}
	message := (*buf)[:0]
	now := time.Now()
	for _, s := range speakers {
		if len(message) < outgoing.MessageBytes/4 {
			message = s.takeLive(message, now)
		}
	}
	for _, s := range speakers {
		if len(message) == 0 {
			message = s.takeBacklog(message, p.cfg.Window)
		}
	}
	*buf = message
	if len(message) == 0 {
		return false
	}
	if err := l.write(websocket.BinaryMessage, message); err != nil {
		_ = l.ws.Close() // the reader sees it and comes back; what was lost is not acked
		return false
	}
	return true
}

func (p *Participant) tick() {
	l := p.current()
	if l == nil {
		return
	}
	if l.silentFor() > p.cfg.deadAfter {
		l.giveUp()
		return
	}
	p.mu.Lock()
	p.lastID++
	id, speakers := p.lastID, p.speakers
	p.mu.Unlock()
	_ = l.writeJSON(ping{Type: "ping", ID: id, T: time.Now().UnixMicro()}) // a broken socket shows itself to the reader
	for _, s := range speakers {
		s.nudge()
	}
}

func (s *Speaker) takeLive(dst []byte, now time.Time) []byte {
	return s.take(dst, func() []byte { return s.out.Live(dst, now) })
}

func (s *Speaker) takeBacklog(dst []byte, window int) []byte {
	return s.take(dst, func() []byte { return s.out.Backlog(dst, window) })
}

func (s *Speaker) take(dst []byte, next func() []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return dst
	}
	had := len(dst)
	dst = next()
	if len(dst) > had && s.out.Ending() {
		s.change()
	}
	return dst
}

// acked takes an ack that counts, whoever gave it.
func (s *Speaker) acked(seq int64) { s.ackedBy(nil, seq) }

// ackedBy takes an ack that came over a socket.
func (s *Speaker) ackedBy(l *link, seq int64) {
	s.mu.Lock()
	if l != nil && !s.believes(l, seq) {
		s.mu.Unlock()
		return
	}
	news, backlog := s.out.Ack(seq, time.Now())
	if news {
		s.change()
	}
	s.mu.Unlock()
	s.letGo()
	if news && s.tellAcked != nil {
		s.tellAcked(seq)
	}
	if backlog {
		s.p.kick()
	}
}

// resend takes a request to send again; what is no longer kept is declared as a gap.
func (s *Speaker) resend(from int64) {
	s.mu.Lock()
	lostFrom, lostTo := s.out.Resend(from, time.Now())
	s.mu.Unlock()
	s.p.kick()
	s.declare(lostFrom, lostTo)
}

// declare tells the edge that the seqs lostFrom..lostTo−1 are no longer here; none where lostFrom ≥ lostTo.
func (s *Speaker) declare(lostFrom, lostTo int64) {
	if lostFrom >= lostTo {
		return
	}
	r := &request{answer: make(chan answer, 1)} // nobody waits: the ack that follows says all
	if _, err := s.p.post(r, func(id int64) any {
		return gap{Type: "gap", ID: id, Track: s.id, Epoch: s.epoch, From: lostFrom, To: lostTo - 1}
	}); err != nil {
		s.p.log.Debug("gap not declared", "err", err)
	}
}

// follow takes the room's word whether its sound is kept.
func (s *Speaker) follow(kept bool) {
	s.mu.Lock()
	from, to := s.out.SetKept(kept)
	s.change() // End may wait for acks that will not come
	s.mu.Unlock()
	s.letGo()
	s.declare(from, to)
}

// nudge sends all unacked frames again when acks have failed to come for long though the log is there: a request to
// resend may have been lost with an edge.
func (s *Speaker) nudge() {
	s.mu.Lock()
	from, stalled := s.out.Stalled(time.Now())
	idle := s.err != nil || s.over || s.word.waits
	s.mu.Unlock()
	if stalled && !idle && s.p.keeps() {
		s.resend(from)
	}
}

func (s *Speaker) setLogAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.SetLogAway(away, time.Now())
}

// reattach goes on with the track on a new socket: what was sent and is not acked goes out again. Of a track that is over the edge will say how
// much is kept.
func (s *Speaker) reattach(l *link, tracks []ownTrack, over []string) {
	held := s.turn(l)
	for _, t := range tracks {
		if t.Track != s.id || t.Epoch != s.epoch {
			continue
		}
		s.acked(t.Acked)
		s.mu.Lock()
		from, failed := s.out.Reattach(t.Acked, time.Now()), s.err != nil
		s.mu.Unlock()
		if !failed { // else its right to speak is gone, and the edge is about to end it
			s.resend(from)
		}
		return
	}
	s.acked(held) // the edge does not go on with the track, and so waits for none of it
	s.mu.Lock()
	told := slices.Contains(over, s.id)
	if s.over = s.endAsked && told; s.over {
		s.out.SetLogAway(false, time.Now()) // an edge that knows otherwise says so
	}
	lost := !s.over && !(s.out.Ending() && s.out.Acked() == s.out.Next()-1)
	s.mu.Unlock()
	if lost {
		s.fail(ErrTrackOver)
	}
	if lost && !told { // nobody will say a word of it any more
		s.p.drop(s)
	}
	s.letGo()
}

// closed takes the edge's last word on the track: no ack follows, and of all seqs so many are kept.
func (s *Speaker) closed(acked, kept int64) {
	s.acked(acked)
	s.mu.Lock()
	next := s.out.Next()
	s.mu.Unlock()
	switch {
	case acked >= next-1:
	case kept < next:
		s.fail(&NotKeptError{Track: s.id, Missing: next - kept, Of: next})
	default: // an edge that contradicts itself
		s.fail(ErrTrackOver)
	}
	s.p.drop(s)
}
