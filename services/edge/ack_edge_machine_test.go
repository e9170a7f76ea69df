package edge

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/room"
)

const simHandle = 7

var (
	simTrack    = frame.TrackID(simHandle)
	simSettings = room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}
)

// simEdge is the part of an edge that acks: the real outbox, track, session, hub's lease and fold, without sockets and NATS.
type simEdge struct {
	w       *simLog
	e       *Edge
	hub     *hub
	hear    func(*nats.Msg) // the outbox's ear
	up      bool            // its connection to NATS
	frozen  bool
	dead    bool
	waiting []func() // what comes to a frozen process
	socket  *simSocket
	said    map[*conn]string // what a socket was told of the log
	told    map[*conn]int64  // and its newest ack
	checked map[*track]int64
	tracks  []*track // all it has ever had
	idle    time.Time
}

func newSimEdge(w *simLog, name string, perTrack int, bug string) *simEdge {
	e := &Edge{
		cfg: Config{Region: region}, id: name, bus: &bus.Bus{}, log: eventlog.New(nil, region, name, simSettings, logger()), logger: logger(),
		metrics: simMetrics, limits: defaultLimits(), writers: &writers{}, hubs: map[string]*hub{}, tracks: map[*track]struct{}{},
		refolds: make(chan *hub, 1),
	}
	s := &simEdge{w: w, e: e, up: true, said: map[*conn]string{}, told: map[*conn]int64{}, checked: map[*track]int64{}}
	e.outbox = newOutbox(s, name, e.metrics, e.tellLog)
	e.outbox.perTrack = perTrack
	if _, err := e.outbox.hear(); err != nil {
		w.Fail("%v", err)
	}
	if bug == "no lease" {
		e.limits.lease = 1000 * time.Hour
	}
	s.hub = &hub{
		edge: e, name: "hall", state: e.log.NewState("hall"), moved: make(chan struct{}), ready: make(chan struct{}),
		sessions: map[string]*session{}, leased: map[*track]struct{}{},
	}
	close(s.hub.ready)
	s.hub.renewing.Store(true) // the world asks the leader for it
	e.hubs["hall"] = s.hub
	w.Every(40*time.Millisecond, func() bool { s.deliver(func() { e.tickTracks(nanotime()) }); return !s.dead })
	w.Every(100*time.Millisecond, func() bool {
		if bug != "no retry" {
			s.deliver(func() { e.outbox.retry(nanotime()) })
		}
		s.bounds()
		return !s.dead
	})
	w.Every(e.limits.renew, func() bool { s.renew(); return !s.dead })
	return s
}

// deliver lets something happen in the edge's process: at once, or as soon as it is no longer frozen.
func (s *simEdge) deliver(f func()) {
	if s.dead {
		return
	}
	if s.frozen {
		s.waiting = append(s.waiting, f)
		return
	}
	f()
	s.flush()
}

// thaw lets all happen that came meanwhile, in an order of its own: goroutines promise none.
func (s *simEdge) thaw() {
	s.frozen = false
	s.idle = time.Now()
	waiting := s.waiting
	s.waiting = nil
	for len(waiting) > 0 { // neighbours change places, by and by over any distance
		i := s.w.IntN(min(len(waiting), 8))
		waiting[i]()
		s.flush()
		waiting = append(waiting[:i:i], waiting[i+1:]...)
	}
}

// renew asks the leader as hub.renew does: the answer may come late, or never.
func (s *simEdge) renew() {
	if s.frozen || !s.up {
		return
	}
	asked := momentNow()
	s.w.send(func() {
		last := uint64(len(s.w.events))
		s.w.send(func() {
			if !s.up {
				return
			}
			s.deliver(func() {
				if s.hub.compare(last, s.behind(s.hub.whole)) {
					s.missedClosing(s.hub.agree(asked, last))
					return
				}
				s.w.After(s.w.Between(50*time.Millisecond, 2*time.Second), func() { s.deliver(s.refold) })
			})
		})
	})
}

// behind gives the positions of all events behind one.
func (s *simEdge) behind(position uint64) (all []uint64) {
	for ; position < uint64(len(s.w.events)); position++ {
		all = append(all, position+1)
	}
	return all
}

// refold folds the room anew, as hub.refold does, and does what was missed.
func (s *simEdge) refold() {
	before := s.hub.state.Position
	s.hub.state = s.e.log.NewState("hall")
	for _, e := range s.w.events {
		s.hub.state.Apply(e)
	}
	s.hub.whole, s.hub.heard = s.hub.state.Position, nil
	if known := s.hub.state.Sessions["s"]; known == nil || known.LastEdge != s.e.id {
		s.let()
	}
	s.w.Note("edge %s folds anew, from %d to %d", s.e.id, before, s.hub.whole)
}

// hears does what hub.apply and hub.react do with an event, as far as tracks and sessions are concerned.
func (s *simEdge) hears(e *room.Event) {
	if e.Position <= s.hub.state.Position {
		return // a fold has it, or it comes too late
	}
	s.hub.note(e)
	switch f := e.Fact.(type) {
	case room.Moved:
		if f.Edge != s.e.id {
			s.let()
		}
	case room.Left:
		s.let()
	case room.TrackClosed:
		s.settle(s.hub.closed(f.Track, f.Through))
	}
}

// let ends the session on this edge.
func (s *simEdge) let() {
	session := s.hub.sessions["s"]
	if session == nil {
		return
	}
	tracks := session.tracks
	session.over, session.conns, session.tracks = true, nil, map[uint32]*track{}
	delete(s.hub.sessions, "s")
	for _, t := range tracks {
		t.end()
		s.e.dropTrack(t)
	}
	if s.socket != nil {
		s.socket.cut(false)
	}
}

// take takes the session in, from another edge or on a new socket; nil when it is over.
func (s *simEdge) take(c *conn, said []resumeTrack) *session {
	s.refold()
	if s.w.over {
		return nil
	}
	there := s.hub.sessions["s"]
	if there == nil {
		there = &session{edge: s.e, hub: s.hub, id: "s", tracks: map[uint32]*track{}}
		s.hub.sessions["s"] = there
		s.w.append(s.e.id, room.Moved{Session: "s", Edge: s.e.id})
		s.hears(s.w.events[len(s.w.events)-1])
		there.restoreTracks(said)
		for _, t := range there.tracks {
			s.tracks = append(s.tracks, t)
			s.checked[t] = -1
		}
	}
	there.conns = []*conn{c}
	return there
}

// flush gives the sockets what the edge has for them, and holds every ack against the log.
func (s *simEdge) flush() {
	for _, t := range s.tracks {
		_, acked := t.ackedNow()
		if acked < s.checked[t] {
			s.w.Fail("edge %s: the ack of a track went back from %d to %d", s.e.id, s.checked[t], acked)
		}
		for seq := s.checked[t] + 1; seq <= acked; seq++ {
			if err := s.w.counts(uint32(seq)); err != nil {
				s.w.Fail("edge %s acks up to %d: %v", s.e.id, acked, err)
			}
		}
		s.checked[t] = acked
	}
	if s.socket == nil {
		return
	}
	for _, frame := range s.socket.conn.control {
		s.tell(s.socket, frame)
	}
	s.socket.conn.control, s.socket.conn.controlBytes = nil, 0
}

func (s *simEdge) tell(to *simSocket, frame []byte) {
	body := frame[2:]
	if frame[1] == 126 {
		body = frame[4:]
	}
	var m simMessage
	if err := json.Unmarshal(body, &m); err != nil {
		s.w.Fail("edge %s says %q: %v", s.e.id, body, err)
	}
	switch m.Type {
	case "log":
		s.said[to.conn] = m.State
	case "ack":
		if last, ok := s.told[to.conn]; ok && m.Seq < last {
			s.w.Fail("edge %s tells a socket of ack %d after %d", s.e.id, m.Seq, last)
		}
		s.told[to.conn] = m.Seq
	}
	to.down(m)
}

// bounds holds the outbox against its bounds, and what it tells against the time it may take.
func (s *simEdge) bounds() {
	o := s.e.outbox
	held, flight, bytes := 0, 0, 0
	oldest := nanotime()
	for _, p := range o.waiting {
		bytes += len(p.data)
		oldest = min(oldest, p.born)
		if p.underWay() {
			flight++
		}
		if p.position != 0 {
			held++
		}
	}
	count := 0
	for t, n := range o.perTrk {
		if count += n; n > o.perTrack || o.held[t] > n {
			s.w.Fail("edge %s: %d packs of a track wait, %d may, %d are held", s.e.id, n, o.perTrack, o.held[t])
		}
	}
	if count != len(o.waiting) || bytes != o.bytes || flight != o.flight || held != 0 && len(o.held) == 0 {
		s.w.Fail("edge %s counts %d packs, %d bytes, %d under way; there are %d, %d and %d", s.e.id, count, o.bytes, o.flight, len(o.waiting), bytes, flight)
	}
	if s.frozen || time.Since(s.idle) < 2*time.Second {
		return
	}
	switch age := time.Duration(nanotime() - oldest); {
	case age > 2*time.Second && !o.away:
		s.w.Fail("edge %s has a pack that waits for %v and does not say that the log is away", s.e.id, age)
	case o.away && s.w.ended: // who has no track is told when it starts one
	case s.socket != nil && s.socket.open && s.socket.welcomed && (s.said[s.socket.conn] == "away") != o.away:
		s.w.Fail("edge %s: the log is away: %v, and its socket was told %q", s.e.id, o.away, s.said[s.socket.conn])
	}
}
