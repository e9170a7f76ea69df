package edge

import (
	"time"

	"airloom/internal/frame"
	"airloom/internal/outgoing"
	"airloom/internal/room"
)

// simSpeaker is a speaker: the real frames and their resending, and what internal/participant does around them.
type simSpeaker struct {
	w        *simLog
	out      *outgoing.Track
	unit     uint8
	socket   *simSocket
	tries    int
	gaps     []room.GapDeclared // that no edge has answered
	logAways int
	over     bool
	end      simEnd
	buf      []byte
}

// simMessage is what a speaker reads.
type simMessage struct {
	Type, State string
	Seq, From   int64
	Acked, Kept int64 // of closed
}

// simSocket is a connection: in order, nothing lost while it stands, and what is on its way when it breaks may still arrive.
type simSocket struct {
	sp           *simSpeaker
	edge         *simEdge
	conn         *conn
	open         bool // for the speaker
	welcomed     bool
	broken       bool // nothing of what is on its way arrives
	upAt, downAt time.Duration
	heard        time.Time
}

func (s *simSocket) lag(last *time.Duration) time.Duration {
	now := s.sp.w.Now()
	d := s.sp.w.Between(time.Millisecond, 30*time.Millisecond)
	if s.sp.w.Chance(s.sp.w.lossy / 20) { // TCP sends again
		d += s.sp.w.Upto(800 * time.Millisecond)
	}
	*last = max(*last+1, now+d)
	return *last - now
}

// up brings something to the edge's process.
func (s *simSocket) up(f func()) {
	s.sp.w.After(s.lag(&s.upAt), func() {
		if !s.broken {
			s.edge.deliver(f)
		}
	})
}

// down brings a message to the speaker.
func (s *simSocket) down(m simMessage) { s.downDo(func() { s.sp.read(m) }) }

func (s *simSocket) downDo(f func()) {
	s.sp.w.After(s.lag(&s.downAt), func() {
		if s.open {
			s.heard = time.Now()
			f()
		}
	})
}

// cut ends the socket, for the speaker at once; lost says that what is on its way is lost, too.
func (s *simSocket) cut(lost bool) {
	s.broken = s.broken || lost
	if !s.open {
		return
	}
	s.open = false
	s.sp.w.Note("socket to %s is cut", s.edge.e.id)
	s.sp.comeBack()
}

// comeBack opens another socket, somewhere.
func (sp *simSpeaker) comeBack() {
	ceiling := 250 * time.Millisecond << max(0, min(sp.tries-1, 5))
	sp.tries++
	sp.w.After(sp.w.Upto(ceiling), func() {
		if sp.over || sp.socket != nil && sp.socket.open {
			return
		}
		edge := sp.w.edges[sp.w.IntN(len(sp.w.edges))]
		s := &simSocket{sp: sp, edge: edge, open: true, heard: time.Now()}
		sp.w.Every(2*time.Second, s.ping)
		s.conn = &conn{worker: newWorker(simMetrics, &edge.e.limits)}
		sp.socket = s
		said := []resumeTrack{{Track: simTrack, Epoch: 0, Acked: sp.out.Acked()}}
		s.up(func() { s.hello(said) })
		sp.w.After(2*time.Second, func() { // a frozen edge, or one whose log is away
			if s.open && !s.welcomed {
				s.cut(false)
			}
		})
	})
}

// ping makes sure that a socket lives, as the participant does.
func (s *simSocket) ping() bool {
	if s.open && time.Since(s.heard) > 7*time.Second {
		s.cut(false)
	}
	if s.open {
		s.up(func() { s.downDo(func() {}) })
	}
	return s.open
}

// hello is what the edge does with one.
func (s *simSocket) hello(said []resumeTrack) {
	if !s.edge.up || !s.open {
		return
	}
	session := s.edge.take(s.conn, said)
	if session == nil {
		s.downDo(func() { s.sp.over = true })
		return
	}
	if old := s.edge.socket; old != nil && old != s {
		old.cut(false)
	}
	s.edge.socket = s
	t := session.trackByHandle(simHandle)
	if t == nil {
		s.helloOver(session, said[0])
		return
	}
	away := s.edge.e.outbox.isAway()
	if session.unkept = away; away {
		s.edge.said[s.conn] = "away"
	}
	_, acked := t.ackedNow()
	s.edge.told[s.conn] = acked
	s.downDo(func() {
		s.welcomed, s.sp.tries = true, 0
		s.sp.w.Note("welcome by %s, acked %d", s.edge.e.id, acked)
		s.sp.resend(s.sp.out.Reattach(acked, time.Now()))
		if away {
			s.sp.out.SetLogAway(true, time.Now())
		}
		for _, gap := range s.sp.gaps {
			s.declare(gap)
		}
		s.sp.askEnd()
	})
}

// read takes a message of the edge.
func (sp *simSpeaker) read(m simMessage) {
	now := time.Now()
	switch m.Type {
	case "ack":
		sp.out.Ack(m.Seq, now)
	case "resend":
		sp.resend(m.From)
	case "closed":
		sp.closed(m)
	case "log":
		if m.State == "away" {
			sp.logAways++
		}
		sp.out.SetLogAway(m.State == "away", now)
	}
	sp.pump()
}

func (sp *simSpeaker) resend(from int64) {
	sp.w.Note("speaker sends again from %d", from)
	lostFrom, lostTo := sp.out.Resend(from, time.Now())
	if lostFrom < lostTo {
		gap := room.GapDeclared{Track: simTrack, From: uint32(lostFrom), To: uint32(lostTo - 1), Reason: room.PublisherDropped}
		sp.gaps = append(sp.gaps, gap)
		if sp.socket.open {
			sp.socket.declare(gap)
		}
	}
	sp.pump()
}

// declare asks for a gap.
func (s *simSocket) declare(gap room.GapDeclared) {
	s.up(func() {
		session := s.edge.hub.sessions["s"]
		if session == nil || !s.edge.up || s.sp.w.over {
			return // asked again on the next socket
		}
		t := session.trackByHandle(simHandle)
		if t == nil {
			return // it is over
		}
		s.sp.w.gaps.Add(gap.From, gap.To)
		s.sp.w.append(s.edge.e.id, gap)
		t.declare(0, gap.From, gap.To)
		s.downDo(func() {
			for i, asked := range s.sp.gaps {
				if asked == gap {
					s.sp.gaps = append(s.sp.gaps[:i:i], s.sp.gaps[i+1:]...)
					return
				}
			}
		})
	})
}

// pump sends what is due: new frames before backlog.
func (sp *simSpeaker) pump() {
	s := sp.socket
	for s != nil && s.open && s.welcomed {
		message := sp.out.Live(sp.buf[:0], time.Now())
		if len(message) == 0 {
			message = sp.out.Backlog(sp.buf[:0], 200)
		}
		if len(message) == 0 {
			sp.askEnd()
			return
		}
		message = append([]byte(nil), message...)
		s.up(func() { s.packets(message) })
	}
}

// packets is what the edge does with a message of packets.
func (s *simSocket) packets(message []byte) {
	session := s.edge.hub.sessions["s"]
	if session == nil || len(session.conns) == 0 || session.conns[0] != s.conn {
		return // its socket is closed
	}
	var p frame.Packet
	for len(message) > 0 {
		rest, err := frame.Parse(message, &p)
		if err != nil {
			s.sp.w.Fail("a speaker sends what is no packet: %v", err)
		}
		message = rest
		if r := session.take(&p, nanotime()); r != nil {
			s.sp.w.Fail("an honest speaker is refused: %s: %s", r.code, r.text)
		}
		if s.sp.w.bug == "acks early" && session.trackByHandle(p.Handle) != nil {
			session.trackByHandle(p.Handle).durable(p.Epoch, p.Seq, p.Last())
		}
	}
}
