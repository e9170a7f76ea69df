package participant

// A hello tells the next edge how far all is acked, and that edge waits for what lies behind it. While the participant moves, the edge before
// goes on with its acks, which are true; but a speaker that let go of frames for one that came behind the hello would leave a hole that nobody
// fills, and would see no ack any more. So from the hello on those acks wait. They count where the move fails; else
// what they spoke of is sent once more, and the next edge acks it.

// word says whose acks a speaker believes.
type word struct {
	from  *link // the socket of the edge that goes on with the track
	waits bool  // a hello is on its way
	held  int64 // the newest ack that waits, −1: none
}

// believes says whether an ack that came over a socket counts now. The caller holds mu, and until it has taken the ack: a hello between the two
// would speak of an older one.
func (s *Speaker) believes(l *link, seq int64) bool {
	if l != s.word.from {
		return false
	}
	if s.word.waits {
		s.word.held = max(s.word.held, seq)
	}
	return !s.word.waits
}

// turn makes a socket's edge the one whose acks count. It gives the newest ack that waited, −1 where there is none.
func (s *Speaker) turn(to *link) (held int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held = s.word.held
	s.word = word{from: to, held: -1}
	return held
}

// stay is how a hello ends that no welcome followed: the edge before, if it is still there, goes on.
func (p *Participant) stay() {
	p.mu.Lock()
	p.greeting = false
	speakers := p.speakers
	p.mu.Unlock()
	for _, s := range speakers {
		s.mu.Lock()
		from := s.word.from
		s.mu.Unlock()
		s.acked(s.turn(from))
	}
}
