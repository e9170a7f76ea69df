package presence

import (
	"cmp"
	"slices"
	"time"
)

// ledger knows which events no snapshot holds yet. watch owns it.
type ledger struct {
	rooms map[string]*debt
}

// debt is the events of one room that no snapshot holds.
type debt struct {
	owed    span
	writing span      // those that are just being written
	retry   time.Time // not before this again
}

// span is a run of events: the first one's position, how many, and when this process folded the first. A position of 0 is none.
type span struct {
	first  uint64
	events int
	since  time.Time
}

func newLedger() *ledger { return &ledger{rooms: map[string]*debt{}} }

func (l *ledger) note(room string, position uint64, now time.Time) {
	d := l.rooms[room]
	if d == nil {
		d = &debt{}
		l.rooms[room] = d
	}
	if d.owed.first == 0 || position < d.owed.first {
		d.owed.first, d.owed.since = position, now
	}
	d.owed.events++
}

// due names the rooms whose snapshot is to be written: those with many events and those whose events have waited for long. What has
// waited longest comes first, so that the mark moves on. Everything is due where age is 0.
func (l *ledger) due(now time.Time, age time.Duration, many func(room string) int) (rooms []string) {
	for name, d := range l.rooms {
		if d.writing.first != 0 || age > 0 && now.Before(d.retry) {
			continue
		}
		if age == 0 || now.Sub(d.owed.since) >= age || d.owed.events >= many(name) {
			rooms = append(rooms, name)
		}
	}
	slices.SortFunc(rooms, func(a, b string) int { return cmp.Compare(l.rooms[a].owed.first, l.rooms[b].owed.first) })
	return rooms
}

// begin says that a room's snapshot is being written; end says what came of it.
func (l *ledger) begin(room string) {
	if d := l.rooms[room]; d != nil {
		d.writing, d.owed = d.owed, span{}
	}
}

func (l *ledger) end(room string, held bool, retry time.Time) {
	d := l.rooms[room]
	if d == nil {
		return
	}
	if !held {
		d.owed = span{first: d.writing.first, events: d.writing.events + d.owed.events, since: d.writing.since}
		d.retry = retry
	}
	if d.writing = (span{}); d.owed.first == 0 {
		delete(l.rooms, room)
	}
}

// mark is up to where the snapshots hold everything, of what was folded up to a position.
func (l *ledger) mark(position uint64) uint64 {
	for _, d := range l.rooms {
		for _, s := range []span{d.owed, d.writing} {
			if s.first != 0 {
				position = min(position, s.first-1)
			}
		}
	}
	return position
}
