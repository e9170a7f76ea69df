package presence

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"airloom/internal/room"
	"airloom/internal/sim"
)

// TestReapMachine is a room whose sessions come, move, lose their sockets and go on three edges, which die, freeze and lose NATS, and two or
// three presences that do the same, over a log that loses and delays requests and answers. Promised: one session.left for each
// session.joined; nobody is taken for away whose edge is there; nobody loses the right to resume; no ghost after five seconds while a presence
// and the log are there; and in the end the log says what is true.
func TestReapMachine(t *testing.T) { sim.Check(t, func(w *sim.World) { runReaping(w, "") }) }

// A machine that finds no bug has not been shown to look.
func TestReapMachineFindsBugs(t *testing.T) {
	for bug, words := range map[string]string{
		"no condition": "has left twice", "never deaf": "is taken for away", "hasty": "may still resume", "lazy": "is a ghost",
	} {
		t.Run(bug, func(t *testing.T) {
			sim.Finds(t, 400, words, func(w *sim.World) { runReaping(w, bug) })
		})
	}
}

// simEdge is an edge as presence knows one: heartbeats, and sessions in the log.
type simEdge struct {
	w            *simLog
	name         string
	dead, frozen bool
	cut          bool // off NATS
	wellSince    time.Duration
}

func (e *simEdge) well() bool { return !e.dead && !e.frozen && !e.cut }

func (w *simLog) edge(name string) *simEdge {
	e := &simEdge{w: w, name: name, wellSince: w.Now()}
	w.Every(time.Second, func() bool {
		if e.well() {
			for _, p := range w.all {
				for range 1 + w.IntN(2) { // doubled, now and then
					w.After(w.Upto(1200*time.Millisecond), func() { p.hears(func() { p.watch.Heard(e.name, time.Now()) }) })
				}
			}
		}
		return !e.dead
	})
	return e
}

// simPresence is the real watch, with what Service does around it.
type simPresence struct {
	w                 *simLog
	name              string
	watch             *watch
	read              int // events
	caughtUp          bool
	back              bool // its connection is another one than before
	dead, frozen, cut bool
	wellSince         time.Duration
	queued            []func()
}

func (p *simPresence) well() bool { return !p.dead && !p.frozen && !p.cut }

func (w *simLog) presence(name string) *simPresence {
	cfg := Config{Instance: name}.withDefaults()
	switch w.bug {
	case "never deaf":
		cfg.Deaf = 1000 * time.Hour
	case "hasty":
		cfg.Resume = 20 * time.Second
	case "lazy":
		cfg.Silence = 5 * time.Second
	}
	p := &simPresence{w: w, name: name, watch: newWatch(cfg, defaults), wellSince: w.Now()}
	w.Every(time.Second, func() bool { p.does(p.follow); return !p.dead })
	w.Every(cfg.Listen, func() bool {
		p.does(func() {
			if p.caughtUp && !p.cut { // before that it judges nobody
				w.After(w.Upto(5*time.Millisecond), func() {
					p.hears(func() {
						if p.back && w.bug != "never deaf" {
							p.watch.Deafened()
						}
						p.back = false
						p.watch.Listening(time.Now())
					})
				})
			}
		})
		return !p.dead
	})
	w.Every(cfg.Tick, func() bool { p.does(p.reap); return !p.dead })
	return p
}

// does lets the process do something; a frozen one does it when it thaws.
func (p *simPresence) does(f func()) {
	switch {
	case p.dead:
	case p.frozen:
		if len(p.queued) < 200 { // a ticker does not make up for what it missed
			p.queued = append(p.queued, f)
		}
	default:
		f()
	}
}

// hears is does for what comes over NATS.
func (p *simPresence) hears(f func()) {
	if !p.cut {
		p.does(f)
	}
}

func (p *simPresence) follow() {
	if p.cut || p.w.Chance(p.w.lossy) {
		return
	}
	for p.read < len(p.w.events) {
		p.watch.Apply(p.w.events[p.read], time.Now())
		p.read++
	}
	p.caughtUp = true
}

func (p *simPresence) reap() {
	for _, t := range p.watch.Due(time.Now()) {
		if p.watch.Stands(t) && !p.cut {
			p.w.append(t.draft, func(error) {}) // Service.appendAll does no more about an error
		}
	}
}

func (p *simPresence) thaw() {
	p.frozen, p.wellSince = false, p.w.Now()
	queued := p.queued
	p.queued = nil
	for len(queued) > 0 {
		i := p.w.IntN(min(8, len(queued)))
		queued[i]()
		queued = append(queued[:i:i], queued[i+1:]...)
	}
}

func runReaping(world *sim.World, bug string) {
	w := &simLog{
		World: world, bug: bug, up: true, last: map[string]uint64{}, writing: map[string]bool{},
		state: room.NewState("hall", defaults), people: map[string]*person{}, badAt: -time.Hour,
	}
	if w.Chance(0.5) {
		w.lossy = w.Float64() * 0.1
	}
	for i := range 3 {
		w.edges = append(w.edges, w.edge(fmt.Sprintf("edge%d", i)))
	}
	for i := range 2 + w.IntN(2) {
		w.all = append(w.all, w.presence(fmt.Sprintf("presence%d", i)))
	}
	for i := range 3 + w.IntN(8) {
		w.After(w.Upto(20*time.Second), func() { w.join(i) })
	}
	span := w.Between(20*time.Second, 70*time.Second)
	for range w.IntN(12) {
		w.trouble(w.Upto(span), w.Upto(w.Upto(20*time.Second)))
	}
	w.Run(span, nil)
	w.heal()
	w.Run(110*time.Second, nil) // the last one loses its socket after 50 s, and is away for 30 s
	w.judge()
}

func (w *simLog) join(i int) {
	p := &person{session: fmt.Sprintf("s%d", i), identity: fmt.Sprintf("i%d", w.IntN(8))}
	w.people[p.session] = p
	edge := w.edges[w.IntN(3)]
	fact := room.Joined{Session: p.session, Identity: p.identity, Edge: edge.name}
	w.decide(edge, func(s *room.State) (room.Draft, error) {
		if s.Sessions[p.session] != nil {
			return room.Draft{}, room.ErrNothingToDo
		}
		return s.Join(fact)
	}, func(err error) {
		if p.gone || err != nil && !errors.Is(err, room.ErrNothingToDo) {
			return
		}
		p.edge = edge
		for range w.IntN(3) {
			w.After(w.Upto(50*time.Second), func() { w.loseSocket(p) })
		}
		if w.Chance(0.5) {
			w.After(w.Upto(60*time.Second), func() { w.leave(p, room.Bye) })
		}
	})
}

// loseSocket ends a session's socket; after three seconds its edge says so. Mostly it comes back.
func (w *simLog) loseSocket(p *person) {
	edge := p.edge
	if edge == nil || p.gone {
		return
	}
	p.edge = nil
	w.After(3*time.Second, func() {
		w.decide(edge, func(s *room.State) (room.Draft, error) {
			if p.edge == edge {
				return room.Draft{}, room.ErrNothingToDo
			}
			return s.Lose(p.session, edge.name, room.SocketLost)
		}, func(error) {})
	})
	if p.gone = w.Chance(0.3); !p.gone {
		w.After(w.Upto(10*time.Second), func() { w.comeBack(p) })
	}
}

// comeBack resumes on some edge that is there.
func (w *simLog) comeBack(p *person) {
	edge := w.edges[w.IntN(3)]
	if p.gone {
		return
	}
	if !edge.well() || !w.up {
		w.After(w.Upto(2*time.Second), func() { w.comeBack(p) })
		return
	}
	p.edge = edge
	w.decide(edge, func(s *room.State) (room.Draft, error) {
		if p.edge != edge {
			return room.Draft{}, room.ErrNothingToDo // it is elsewhere by now
		}
		return s.Move(p.session, edge.name)
	}, func(err error) {
		if errors.Is(err, room.ErrUnknownSession) {
			p.edge, p.gone = nil, true // too late
		}
	})
}

// leave ends a session by its edge, as edge.until does.
func (w *simLog) leave(p *person, why room.Reason) {
	edge := p.edge
	if edge == nil {
		return
	}
	p.gone, p.edge = true, nil
	w.decide(edge, func(s *room.State) (room.Draft, error) { return s.Leave(p.session, why) }, func(error) {})
}
