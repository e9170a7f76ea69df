package presence

import (
	"cmp"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// watch is the pure part of presence: it folds events, remembers when each edge was last heard, and says which events
// are due. It has no clock (every call gets now, of which only differences count, so a step of the wall clock changes
// nothing), no I/O, no goroutine and no lock: Service owns it.
type watch struct {
	cfg      Config
	defaults room.Settings
	rooms    map[string]*watchedRoom
	edges    map[string]*edge
	waiting  map[*watchedSession]struct{} // sessions that are away or over
	speaking map[trackKey]time.Time
	totals   [standings]int
	position uint64
	ledger   *ledger

	listened time.Time // when it last knew that it hears what the servers send
	looked   time.Time // when it last looked for rooms to forget
	floor    time.Time // silence counts from here on, not from before; zero: nobody is judged yet
}

// edge is one incarnation of an edge; sessions are the sessions whose last socket is or was there.
type edge struct {
	heard    time.Time
	sessions map[*watchedSession]struct{}
}

type trackKey struct{ room, track string }

// task is an event that is due.
type task struct {
	room    string
	session string
	draft   room.Draft
}

func newWatch(cfg Config, defaults room.Settings) *watch {
	return &watch{
		cfg: cfg, defaults: defaults, rooms: map[string]*watchedRoom{}, edges: map[string]*edge{},
		waiting: map[*watchedSession]struct{}{}, speaking: map[trackKey]time.Time{}, ledger: newLedger(),
	}
}

// Heard notes a heartbeat of an edge incarnation.
func (w *watch) Heard(name string, now time.Time) { w.edge(name, now).heard = now }

// Listening notes that a round trip to the servers has just worked, so what they had for us has reached us. After a
// time without (a cut connection, a frozen server, this process stopped) every edge gets one full Silence to be heard again:
// who was deaf can't tell who was silent.
func (w *watch) Listening(now time.Time) {
	if w.floor.IsZero() || now.Sub(w.listened) > w.cfg.Deaf {
		w.floor = now
	}
	w.listened = now
}

// Deafened notes that something may have been missed, for however short a time: two lost heartbeats are enough to take an edge for dead.
func (w *watch) Deafened() { w.listened = time.Time{} }

// Speaks notes what a speaker's edge says about a track. Unknown and ended tracks are passed over, so the map is bound by
// the open tracks.
func (w *watch) Speaks(roomName, track string, on bool, now time.Time) {
	key := trackKey{roomName, track}
	if !on {
		delete(w.speaking, key)
		return
	}
	if rm := w.rooms[roomName]; rm != nil {
		if known := rm.state.Tracks[track]; known != nil && !known.Ended {
			w.speaking[key] = now
		}
	}
}

func (w *watch) isSpeaking(roomName, track string, now time.Time) bool {
	at, ok := w.speaking[trackKey{roomName, track}]
	return ok && now.Sub(at) < w.cfg.Silence
}

// Due says which events are due now and holds each back for Retry, so that a task in hand isn't given out twice.
func (w *watch) Due(now time.Time) []task {
	w.prune(now)
	if w.floor.IsZero() || now.Sub(w.listened) > w.cfg.Deaf || now.Sub(w.floor) < w.cfg.Silence {
		return nil
	}
	var due []task
	for name, e := range w.edges {
		if !w.dead(name, e, now) {
			continue
		}
		for s := range e.sessions {
			switch s.standing {
			case present:
				due = w.add(due, s, now, w.lose)
			case over: // it could not resume, so there is nothing to wait for
				due = w.add(due, s, now, w.leave)
			}
		}
	}
	for s := range w.waiting {
		if now.Sub(s.since) >= w.cfg.Resume+w.jitter(s.key(), w.cfg.Resume/15) {
			due = w.add(due, s, now, w.leave)
		}
	}
	slices.SortFunc(due, w.urgency)
	return due
}

// urgency puts ghosts first: they are promised to be gone within 5 s. Beyond that each instance has an order of its own, so that
// several who reap the same edge share the work instead of colliding at every session.
func (w *watch) urgency(a, b task) int {
	if c := strings.Compare(a.draft.Fact.Type(), b.draft.Fact.Type()); c != 0 {
		return c // session.away before session.left
	}
	return cmp.Compare(w.jitter(a.session, time.Hour), w.jitter(b.session, time.Hour))
}

// Stands says whether a task that was due is still to be done: nothing has happened to its session since.
func (w *watch) Stands(t task) bool {
	kind, id := t.draft.Fact.Subject()
	return w.rooms[t.room].state.LastOn(kind, id) == t.draft.Expect
}

// dead says whether an edge was silent too long. Several presences look at the same edges: each waits a little longer by a
// jitter of its own, so the first has mostly done the work before the next begins.
func (w *watch) dead(name string, e *edge, now time.Time) bool {
	since := e.heard
	if w.floor.After(since) {
		since = w.floor
	}
	return now.Sub(since) >= w.cfg.Silence+w.jitter(name, w.cfg.Silence/6)
}

func (w *watch) add(due []task, s *watchedSession, now time.Time, decide func(*watchedSession) (room.Draft, error)) []task {
	if now.Before(s.retry) {
		return due
	}
	draft, err := decide(s)
	if errors.Is(err, room.ErrNothingToDo) || errors.Is(err, room.ErrUnknownSession) {
		return due
	}
	s.retry = now.Add(w.cfg.Retry)
	return append(due, task{room: s.room.state.Room, session: s.session, draft: draft})
}

func (w *watch) lose(s *watchedSession) (room.Draft, error) {
	return s.room.state.Lose(s.session, s.edge, room.EdgeLost)
}

func (w *watch) leave(s *watchedSession) (room.Draft, error) {
	return s.room.state.Leave(s.session, s.reason())
}

// prune forgets who fell silent without owning a session, tracks that nobody speaks on any more, and rooms that are as good as new.
func (w *watch) prune(now time.Time) {
	w.forget(now)
	for name, e := range w.edges {
		if len(e.sessions) == 0 && now.Sub(e.heard) > 20*w.cfg.Silence {
			delete(w.edges, name)
		}
	}
	for key, at := range w.speaking {
		if now.Sub(at) >= w.cfg.Silence {
			delete(w.speaking, key)
		}
	}
}

// alive counts the edges heard within Silence.
func (w *watch) alive(now time.Time) (n int) {
	for _, e := range w.edges {
		if now.Sub(e.heard) < w.cfg.Silence {
			n++
		}
	}
	return n
}

func (w *watch) edge(name string, now time.Time) *edge {
	e := w.edges[name]
	if e == nil {
		e = &edge{heard: now, sessions: map[*watchedSession]struct{}{}} // one named by an event alone gets a full Silence too
		w.edges[name] = e
	}
	return e
}

// jitter is a delay below span, fixed for this instance and what it is about.
func (w *watch) jitter(about string, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(w.cfg.Instance + "\x00" + about))
	return time.Duration(h.Sum64() % uint64(span))
}

// heartbeatOf gives the incarnation that a heartbeat's subject names. Its payload is for people: alive is alive, whatever a newer
// edge writes into it.
func heartbeatOf(region, on string) (name string, ok bool) {
	name, ok = strings.CutPrefix(on, subject.Heartbeat(region, ""))
	return name, ok && subject.ID(name) == nil
}
