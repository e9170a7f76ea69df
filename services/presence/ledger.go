package presence

import (
	"cmp"
	"slices"
	"time"

	"airloom/internal/room"
)

// maxTails bounds the events that are kept for writing snapshots, over all rooms: at some 500 bytes each, 50 MB. Of a room whose
// events are not all kept the log is read, which a server pays for by looking through the events of all rooms.
const maxTails = 100_000

// ledger knows which events no snapshot holds yet. watch owns it.
type ledger struct {
	rooms map[string]*debt
	kept  int // events in tails
}

// debt is the events of one room that no snapshot holds.
type debt struct {
	owed    span
	writing span      // those that are just being written
	retry   time.Time // not before this again; zero: the last time it was written
}

// span is a run of events: the first one's position, how many, and when this process folded the first. A position of 0 is none.
type span struct {
	first  uint64
	events int
	since  time.Time
	tail   []*room.Event // the events, or the first of them
}

func newLedger() *ledger { return &ledger{rooms: map[string]*debt{}} }

// note takes an event that was just folded.
func (l *ledger) note(e *room.Event, now time.Time) {
	d := l.owe(e.Room, e.Position, now)
	if d.owed.events++; l.kept < maxTails && len(d.owed.tail) == d.owed.events-1 {
		d.owed.tail = append(d.owed.tail, e)
		l.kept++
	}
}

// owe says that no snapshot holds a room's events from a position on.
func (l *ledger) owe(name string, position uint64, now time.Time) *debt {
	d := l.rooms[name]
	if d == nil {
		d = &debt{}
		l.rooms[name] = d
	}
	if d.owed.first == 0 || position < d.owed.first {
		d.owed.first, d.owed.since = position, now
	}
	return d
}

// lacks says that an event is in the log which the tail of its room does not have.
func (l *ledger) lacks(name string, position uint64, now time.Time) {
	l.owe(name, position, now).owed.events++ // more than the tail has, so the log is read
}

// due names the rooms whose snapshot is to be written: those with many events and those whose events have waited for long. What has
// waited longest comes first, so that the mark moves on, and what failed comes behind all that did not, or it would keep the others from
// ever being written. Everything is due where age is 0.
func (l *ledger) due(now time.Time, age time.Duration, many func(room string) int) (rooms []string) {
	for name, d := range l.rooms {
		if d.writing.first != 0 || age > 0 && now.Before(d.retry) {
			continue
		}
		if age == 0 || now.Sub(d.owed.since) >= age || d.owed.events >= many(name) {
			rooms = append(rooms, name)
		}
	}
	slices.SortFunc(rooms, func(a, b string) int {
		x, y := l.rooms[a], l.rooms[b]
		return cmp.Or(x.retry.Compare(y.retry), cmp.Compare(x.owed.first, y.owed.first))
	})
	return rooms
}

// begin says that a room's snapshot is being written, and gives the events that it lacks, if all of them were kept. end says what came of it.
func (l *ledger) begin(name string) []*room.Event {
	d := l.rooms[name]
	if d == nil {
		return nil
	}
	d.writing, d.owed = d.owed, span{}
	if len(d.writing.tail) < d.writing.events {
		return nil
	}
	return d.writing.tail
}

func (l *ledger) end(name string, held bool, retry time.Time) {
	d := l.rooms[name]
	if d == nil {
		return
	}
	if !held {
		was := d.owed
		d.owed, d.retry = d.writing, retry
		if d.owed.events += was.events; len(d.writing.tail) == d.writing.events {
			d.owed.tail = append(slices.Clip(d.writing.tail), was.tail...)
		} else {
			l.kept -= len(was.tail)
		}
	} else {
		l.kept -= len(d.writing.tail)
		d.retry = time.Time{}
	}
	if d.writing = (span{}); d.owed.first == 0 {
		delete(l.rooms, name)
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
