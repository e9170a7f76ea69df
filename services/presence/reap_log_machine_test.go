package presence

import (
	"errors"
	"time"

	"airloom/internal/room"
	"airloom/internal/sim"
)

var (
	errTaken  = errors.New("the subject has moved on")    // refused with 10071: another event is the newest
	errBusy   = errors.New("a write is under way there")  // refused with 10164: on a cluster, before it is known
	errSilent = errors.New("the log has given no answer") // it may be there or not
)

// simLog is a room's events, appended on the condition that their subject has not moved on, with everything that can happen to a request and
// its answer on the way.
type simLog struct {
	*sim.World
	bug     string
	lossy   float64
	up      bool
	badAt   time.Duration // when something was last lost, or away: bounds hold from then on
	events  []*room.Event
	last    map[string]uint64
	writing map[string]bool
	state   *room.State // all of them
	people  map[string]*person
	edges   []*simEdge
	all     []*simPresence
}

// person is what is true of a session, whatever the log says.
type person struct {
	session, identity string
	edge              *simEdge // that has the socket; nil: none
	gone              bool     // will never come back
	lefts             int
	awayAt            time.Duration
}

func (w *simLog) bad() { w.badAt = w.Now() }

// travel is how long a message takes, or that it never arrives.
func (w *simLog) travel() (d time.Duration, lost bool) {
	if w.Chance(w.lossy) {
		w.bad()
		if w.Chance(0.5) {
			return 0, true
		}
		return w.Upto(3 * time.Second), false
	}
	return w.Between(200*time.Microsecond, 15*time.Millisecond), false
}

// append asks for an event and hears what became of it, at the latest after two seconds.
func (w *simLog) append(draft room.Draft, done func(error)) {
	answered := false
	answer := func(err error) {
		if !answered {
			answered = true
			done(err)
		}
	}
	w.After(2*time.Second, func() { answer(errSilent) })
	d, lost := w.travel()
	if lost {
		return
	}
	back := func(err error) {
		if d, lost := w.travel(); !lost {
			w.After(d, func() { answer(err) })
		}
	}
	kind, id := draft.Fact.Subject()
	on := kind + "." + id
	w.After(d, func() {
		switch {
		case !w.up:
		case w.writing[on]:
			back(errBusy)
		case w.last[on] != draft.Expect && w.bug != "no condition":
			back(errTaken)
		default:
			w.writing[on] = true
			w.After(w.Between(200*time.Microsecond, 10*time.Millisecond), func() {
				delete(w.writing, on)
				w.commit(on, draft.Fact)
				back(nil)
			})
		}
	})
}

// commit stores an event and holds it against the promises.
func (w *simLog) commit(on string, fact room.Fact) {
	e := &room.Event{Room: "hall", At: time.Now(), Fact: fact, Position: uint64(len(w.events) + 1)}
	w.Note("event %d: %s %+v", e.Position, fact.Type(), fact)
	switch f := fact.(type) {
	case room.Away:
		w.people[f.Session].awayAt = w.Now()
		w.mayBeAway(f)
	case room.Left:
		p := w.people[f.Session]
		if p.lefts++; p.lefts > 1 {
			w.Fail("%s has left twice", f.Session)
		}
		known := w.state.Sessions[f.Session]
		if f.Reason == room.Timeout && (known == nil || !known.Away || w.Now()-p.awayAt < 30*time.Second) {
			w.Fail("%s has left for a timeout though it may still resume", f.Session)
		}
	}
	w.events = append(w.events, e)
	w.last[on] = e.Position
	w.state.Apply(e)
	for _, p := range w.all {
		w.After(w.Upto(30*time.Millisecond), func() { p.does(p.follow) })
	}
	w.react(e)
}

// mayBeAway fails where presence took a socket for lost whose edge has been well all the time.
func (w *simLog) mayBeAway(f room.Away) {
	if f.Reason != room.EdgeLost {
		return
	}
	for _, e := range w.edges {
		if e.name == f.Edge && e.well() && w.Now()-e.wellSince > 8*time.Second {
			w.Fail("%s is taken for away, and its edge %s has been there for %v", f.Session, e.name, w.Now()-e.wellSince)
		}
	}
}

// react is what edges and participants do about an event.
func (w *simLog) react(e *room.Event) {
	switch f := e.Fact.(type) {
	case room.Away:
		p := w.people[f.Session]
		if edge := p.edge; edge != nil && edge.name == f.Edge && !p.gone { // its edge lets go of it as soon as it hears of that
			w.After(w.Upto(time.Second), func() { w.comeBack(p) })
		}
	case room.Left:
		w.people[f.Session].edge, w.people[f.Session].gone = nil, true
	case room.Joined:
		for _, older := range w.sorted() {
			known := w.state.Sessions[older.session]
			if older.identity == f.Identity && older.session != f.Session && known != nil && known.Replaced {
				older.gone = true
				w.leave(older, room.Replaced)
			}
		}
	}
}

// decide appends what f makes of the room as an edge knows it, until the log has it or shows that it is not needed.
func (w *simLog) decide(by *simEdge, f func(*room.State) (room.Draft, error), then func(error)) {
	if by.dead {
		return
	}
	if !by.well() {
		w.After(time.Second, func() { w.decide(by, f, then) })
		return
	}
	draft, err := f(w.state)
	if err != nil {
		then(err)
		return
	}
	w.append(draft, func(err error) {
		if err != nil {
			w.After(w.Upto(300*time.Millisecond), func() { w.decide(by, f, then) })
			return
		}
		then(nil)
	})
}

// ghosts fails where sessions of an edge are still shown as there five seconds after its death, though a presence and the log were well.
func (w *simLog) ghosts(dead *simEdge, at time.Duration) {
	if !w.up || w.badAt > at-4*time.Second {
		return
	}
	for _, p := range w.all {
		if !p.well() || p.wellSince > at-4*time.Second {
			continue
		}
		for _, one := range w.sorted() {
			known := w.state.Sessions[one.session]
			if known != nil && known.Present() && !known.Away && known.LastEdge == dead.name {
				w.Fail("%s is a ghost: edge %s died %v ago, %s has been there since %v", one.session, dead.name, w.Now()-at, p.name, p.wellSince)
			}
		}
		return
	}
}
