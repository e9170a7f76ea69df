package presence

import (
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

// hall is a room with what presence keeps beside its state.
type hall struct {
	state *room.State
	stays map[string]*stay // by session
	count [standings]int
}

// stay is a session as presence follows it. since is when this process learned that it is away or over: the event's own time is
// of another machine's clock, and to trust it could take away a right to resume. After a restart of presence the wait
// therefore begins anew.
type stay struct {
	hall     *hall
	session  string
	edge     string
	standing standing
	since    time.Time
	retry    time.Time // not given out again before this
}

func (s *stay) key() string { return s.hall.state.Room + " " + s.session }

// reason says why the session must leave.
func (s *stay) reason() room.Reason {
	known := s.hall.state.Sessions[s.session]
	switch {
	case known == nil || s.standing != over:
		return room.Timeout
	case known.Replaced:
		return room.Replaced
	case s.hall.state.Closed:
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
	h := w.hall(e.Room)
	touched := h.state.Touches(e)
	h.state.Apply(e)
	for _, session := range touched {
		w.settle(h, session, now)
	}
	switch e.Fact.(type) {
	case room.Closed, room.Opened, room.Created:
		for session := range h.stays {
			w.settle(h, session, now)
		}
	}
}

// settle compares what is kept of a session with its room's state.
func (w *watch) settle(h *hall, session string, now time.Time) {
	known, s := h.state.Sessions[session], h.stays[session]
	if s == nil {
		s = &stay{hall: h, session: session}
		h.stays[session] = s
	}
	w.place(s, known, now)
	to := judge(h.state, known)
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

// place keeps the stay with the edge that has, or last had, its socket.
func (w *watch) place(s *stay, known *room.Session, now time.Time) {
	at := ""
	if known != nil {
		at = known.LastEdge
	} else {
		delete(s.hall.stays, s.session)
	}
	if at == s.edge {
		return
	}
	if before := w.edges[s.edge]; before != nil {
		delete(before.stays, s)
	}
	if s.edge = at; at != "" {
		w.edge(at, now).stays[s] = struct{}{}
	}
}

func (w *watch) count(s *stay, to standing) {
	s.hall.count[s.standing]--
	w.totals[s.standing]--
	s.hall.count[to]++
	w.totals[to]++
}

func (w *watch) hall(name string) *hall {
	h := w.halls[name]
	if h == nil {
		h = &hall{state: room.NewState(name, w.defaults), stays: map[string]*stay{}}
		w.halls[name] = h
	}
	return h
}
