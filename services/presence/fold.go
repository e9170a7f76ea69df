package presence

import (
	"maps"
	"time"

	"airloom/internal/room"
)

// standing is what presence makes of a session.
type standing uint8

const (
	none    standing = iota // not there (yet, or any more)
	present                 // has a socket
	away                    // has none, may resume
	over                    // replaced, never admitted or its room is closed: only its left is missing
	standings
)

// watchedRoom is a room with what presence keeps beside its state.
type watchedRoom struct {
	state    *room.State
	sessions map[string]*watchedSession // by session
	count    [standings]int
	quiet    time.Time // since when nobody is in it; zero: somebody is
}

// watchedSession is a session as presence follows it. since is when this process learned that it is away or over: the event's own time is
// of another machine's clock, and to trust it could take away a right to resume. What was before this process began, credit adds.
type watchedSession struct {
	room     *watchedRoom
	session  string
	edge     string
	standing standing
	since    time.Time
	retry    time.Time // not given out again before this
}

func (s *watchedSession) key() string { return s.room.state.Room + " " + s.session }

// reason says why the session must leave.
func (s *watchedSession) reason() room.Reason {
	known := s.room.state.Sessions[s.session]
	switch {
	case known == nil || s.standing != over:
		return room.Timeout
	case known.Replaced:
		return room.Replaced
	case known.Banned:
		return room.Kicked
	case s.room.state.Closed:
		return room.RoomClosed
	default:
		return room.RoomFull
	}
}

// Apply folds an event and brings what presence keeps beside the states up to date. Events of a position folded before change nothing.
func (w *watch) Apply(e *room.Event, now time.Time) {
	if e.Position <= w.position {
		return
	}
	w.position = e.Position
	rm := w.room(e.Room)
	if e.Position > rm.state.Position {
		w.ledger.note(e, now)
	}
	touched := rm.state.Touches(e)
	rm.state.Apply(e)
	for _, session := range touched {
		w.settle(rm, session, now)
	}
	switch e.Fact.(type) {
	case room.Closed, room.Opened, room.Created:
		for session := range rm.sessions {
			w.settle(rm, session, now)
		}
	}
	w.rest(rm, now)
}

// Restore begins from the rooms' snapshots, which hold all events up to a position and some of those behind it.
func (w *watch) Restore(rooms []*room.State, position uint64, now time.Time) {
	for _, state := range rooms {
		rm := w.room(state.Room)
		rm.state = state
		for session := range state.Sessions {
			w.settle(rm, session, now)
		}
		w.rest(rm, now)
	}
	w.position = position
}

// rest makes a room small when the last one has left it.
func (w *watch) rest(rm *watchedRoom, now time.Time) {
	if len(rm.sessions) > 0 || rm.state.OpenTracks() > 0 {
		rm.quiet = time.Time{}
		return
	}
	if rm.quiet.IsZero() {
		rm.quiet, rm.sessions = now, map[string]*watchedSession{}
		rm.state.Rest()
	}
}

// forget drops the rooms of which there is nothing to tell: nobody made settings for them, and nobody has been in them for long. One
// that was created is known for ever, with its settings and not much more. To look at all of them now and then is enough.
func (w *watch) forget(now time.Time) {
	if now.Sub(w.looked) < forgetAfter/60 {
		return
	}
	w.looked = now
	maps.DeleteFunc(w.rooms, func(_ string, rm *watchedRoom) bool {
		return !rm.quiet.IsZero() && now.Sub(rm.quiet) >= forgetAfter && rm.state.Untouched()
	})
}

// forgetAfter is how long the list of rooms still tells of one that nobody is in and nobody created.
const forgetAfter = time.Hour

// settle compares what is kept of a session with its room's state.
func (w *watch) settle(rm *watchedRoom, session string, now time.Time) {
	known, s := rm.state.Sessions[session], rm.sessions[session]
	if s == nil {
		s = &watchedSession{room: rm, session: session}
		rm.sessions[session] = s
	}
	w.place(s, known, now)
	to := judge(rm.state, known)
	if to == s.standing {
		return
	}
	w.count(s, to)
	s.standing, s.since, s.retry = to, now, time.Time{}
	if to == away || to == over {
		w.waiting[s] = struct{}{}
	} else {
		delete(w.waiting, s)
	}
}

func judge(state *room.State, known *room.Session) standing {
	switch {
	case known == nil:
		return none
	case !known.Present() || state.Closed:
		return over
	case known.Away:
		return away
	default:
		return present
	}
}

// place keeps the session with the edge that has, or last had, its socket.
func (w *watch) place(s *watchedSession, known *room.Session, now time.Time) {
	at := ""
	if known != nil {
		at = known.LastEdge
	} else {
		delete(s.room.sessions, s.session)
	}
	if at == s.edge {
		return
	}
	if before := w.edges[s.edge]; before != nil {
		delete(before.sessions, s)
	}
	if s.edge = at; at != "" {
		w.edge(at, now).sessions[s] = struct{}{}
	}
}

func (w *watch) count(s *watchedSession, to standing) {
	s.room.count[s.standing]--
	w.totals[s.standing]--
	s.room.count[to]++
	w.totals[to]++
}

func (w *watch) room(name string) *watchedRoom {
	rm := w.rooms[name]
	if rm == nil {
		rm = &watchedRoom{state: room.NewState(name, w.defaults), sessions: map[string]*watchedSession{}}
		w.rooms[name] = rm
	}
	return rm
}
