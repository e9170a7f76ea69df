package edge

import (
	"context"
	"time"

	"airloom/internal/plant"
	"airloom/internal/room"
)

const (
	awaitMost = 60 * time.Second // a packet that was heard live is waited for in the log: outboxes hold 40 s
	settled   = 2 * time.Second  // after which what the log had is in the room's ring too, or was never heard live
	ringFresh = time.Second      // a slot of the room's ring so old may be gone soon
	apart     = 10 * time.Second // the clocks of edge and log may be so far apart
)

// reach is how far a track has been given.
type reach struct {
	begun bool
	epoch uint8
	next  uint64
}

func (l *lane) reach() reach { return reach{l.begun, l.epoch, l.next} }

// had says that all of a slot was given.
func (r reach) had(s *slot) bool {
	return r.begun && (s.epoch < r.epoch || s.epoch == r.epoch && uint64(s.last) < r.next)
}

// joins says that a slot goes on where the track is; a track of which nothing is known may begin with its first seq.
func (r reach) joins(s *slot) bool {
	if !r.begun {
		return s.first == 0
	}
	return s.epoch == r.epoch && uint64(s.first) <= r.next
}

// seam says whether what was given reaches all that the room's ring holds. Then it gives, from the ring, what the log has not
// given; at returns the slot after that. It waits for packets that the log will have, and for the ring where the log
// was faster.
func (p *player) seam(wall, now int64) bool {
	ring := p.hub.ring
	head := ring.head.Load()
	keeps := p.hub.info().Keep != room.KeepNone
	sim := map[string]reach{}
	heard := map[string]reach{}
	for i := ring.oldest(); i < head; i++ {
		s := ring.get(i)
		if s == nil || s.session == p.conn.session {
			continue
		}
		r, known := sim[s.track]
		if l := p.order.lanes[s.track]; !known && l != nil {
			r = l.reach()
		}
		if heard[s.track] = (reach{true, s.epoch, uint64(s.last) + 1}); r.had(s) || !r.begun && p.before(s, wall, now) {
			continue
		}
		if !r.joins(s) && keeps && s.kept && now-s.at < int64(awaitMost) {
			return false
		}
		sim[s.track] = reach{true, s.epoch, uint64(s.last) + 1}
	}
	for track, l := range p.order.lanes {
		r := heard[track]
		behind := !r.begun || r.epoch < l.epoch || r.epoch == l.epoch && r.next < l.next
		if l.begun && !l.own && behind && l.fresh != 0 && now-l.fresh < int64(settled) && p.recent(l, wall) {
			return false
		}
	}
	return p.giveRing(head, wall, now)
}

// before says that a slot is none of what the listener wanted: it came before its place, or it is not kept.
func (p *player) before(s *slot, wall, now int64) bool {
	return wall-(now-s.at) < p.from || p.from == 0 && !s.kept
}

// recent says that the log may have taken a lane's newest piece so lately that the room's ring still gets it.
func (p *player) recent(l *lane, wall int64) bool { return wall-l.newest < int64(ringSpan+apart) }

// giveRing gives what the room's ring has up to head and the log has not; false where the private ring is full.
func (p *player) giveRing(head uint64, wall, now int64) bool {
	ring := p.hub.ring
	for i := ring.oldest(); i < head; i++ {
		s := ring.get(i)
		if s == nil || s.session == p.conn.session {
			continue
		}
		l := p.order.lane(s.track, wall)
		r := l.reach()
		if r.had(s) || !r.begun && p.before(s, wall, now) {
			continue
		}
		if p.room() <= 3 {
			return false
		}
		p.giveSlot(l, r, s, now)
	}
	p.cursor = head
	return true
}

func (p *player) giveSlot(l *lane, r reach, s *slot, now int64) {
	p.introduce(l)
	from := s.first
	switch {
	case r.joins(s):
		from = max(from, uint32(r.next))
	case r.begun && s.epoch == r.epoch:
		p.skipped(hole{s.track, s.epoch, uint32(r.next), s.first - 1})
	}
	l.begun, l.epoch, l.next = true, s.epoch, uint64(s.last)+1
	switch {
	case plant.On(plant.SeamSkip):
	case now-s.at >= int64(awaitMost): // sound that the log never got, and that is long over
		p.skipped(hole{s.track, s.epoch, from, s.last})
	case from == s.first:
		p.push(past(body(s.message)))
	default:
		p.push(past(partOf(body(s.message), from, s.last)))
	}
}

// drained says that the socket has taken all that is in the private ring.
func (p *player) drained() bool { return p.conn.progress.Load() == p.ring.head.Load() }

// arriveAt tunes the socket to the room's ring, at the slot after those that were given.
func (p *player) arriveAt(now int64) bool {
	if s := p.hub.ring.get(p.cursor); s != nil && now-s.at > int64(ringFresh) {
		return false
	}
	return p.arrive(func() uint64 { return p.cursor }, false)
}

func (p *player) arrive(cursor func() uint64, burst bool) bool {
	return p.hub.arrive(p.conn, p, func() uint64 {
		p.conn.send(text(p.playback(stateLive, time.Now())))
		return cursor()
	}, burst)
}

// goLive is for a listener that wants the live edge at once: what it heard before ends with the answer.
func (p *player) goLive(ctx context.Context) {
	p.state = stateLive
	p.reply(stateLive, time.Now())
	p.conn.worker.wakeConn(p.conn)
	for !p.drained() {
		if !p.sleep(ctx, seamEvery) {
			return
		}
	}
	p.hub.arrive(p.conn, p, p.hub.ring.head.Load, true)
}

// room is how many slots the private ring has room for.
func (p *player) room() int {
	head, taken := p.ring.head.Load(), p.conn.progress.Load()
	if taken < p.base || taken > head { // it has not come to this ring yet
		taken = p.base
	}
	return privateLap - int(head-taken)
}

// push puts an encoded message into the private ring.
func (p *player) push(message []byte) {
	p.ring.push(&slot{message: message, at: farFuture})
}

// skipped tells, in the order of the packets, of seqs that will not come.
func (p *player) skipped(holes ...hole) {
	m := skippedMessage{Type: "skipped", Reason: "gap"}
	for _, h := range holes {
		p.reel.tape.metrics.tapeHoles.Add(int64(h.to) - int64(h.from) + 1)
		m.Tracks = append(m.Tracks, skippedTrack{Track: h.track, Epoch: h.epoch, From: h.from, To: h.to})
	}
	p.push(text(m))
}
