package presence

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"airloom/internal/room"
)

func TestLedgerTellsWhatNoSnapshotHolds(t *testing.T) {
	now := time.Now()
	l, many := newLedger(), func(string) int { return 3 }
	if l.mark(7) != 7 {
		t.Error("nothing is owed, and the mark stays behind")
	}
	l.note(&room.Event{Room: "hall", Position: 8}, now)
	l.note(&room.Event{Room: "lab", Position: 9}, now.Add(time.Second))
	l.note(&room.Event{Room: "hall", Position: 10}, now)
	if got := l.due(now.Add(59*time.Second), time.Minute, many); len(got) != 0 || l.mark(10) != 7 {
		t.Errorf("due %v, mark %d", got, l.mark(10))
	}
	l.note(&room.Event{Room: "lab", Position: 11}, now)
	l.note(&room.Event{Room: "lab", Position: 12}, now)
	if got := l.due(now, time.Minute, many); !slices.Equal(got, []string{"lab"}) {
		t.Errorf("due %v, want lab for its many events", got)
	}
	if got := l.due(now.Add(time.Minute), time.Minute, many); !slices.Equal(got, []string{"hall", "lab"}) {
		t.Errorf("due %v, want both, the older one first", got)
	}
	l.begin("hall")
	l.note(&room.Event{Room: "hall", Position: 13}, now.Add(time.Second))
	if got := l.due(now.Add(time.Hour), time.Minute, many); !slices.Equal(got, []string{"lab"}) || l.mark(13) != 7 {
		t.Errorf("due %v, mark %d while hall is written", got, l.mark(13))
	}
	l.end("hall", true, now)
	if l.mark(13) != 8 {
		t.Errorf("mark %d, want that before lab's first", l.mark(13))
	}
	l.begin("lab")
	l.end("lab", false, now.Add(time.Second))
	if got := l.due(now, time.Minute, many); len(got) != 0 || l.mark(13) != 8 {
		t.Errorf("due %v at once after a failure, mark %d", got, l.mark(13))
	}
	if got := l.due(now.Add(time.Second), time.Minute, many); !slices.Equal(got, []string{"lab"}) {
		t.Errorf("due %v after the pause", got)
	}
	if got := l.due(now, 0, many); !slices.Equal(got, []string{"hall", "lab"}) {
		t.Errorf("due %v at the end", got)
	}
}

// Whatever is written, refused and noted in whatever order: no event before the mark is without a snapshot.
func TestTheMarkNeverPromisesTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, now, many := newLedger(), time.Now(), func(string) int { return 2 }
		events := map[uint64]string{}  // those that no snapshot holds
		writing := map[string]uint64{} // up to where
		for position := uint64(1); position < 60; position++ {
			name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "room")
			events[position] = name
			l.note(&room.Event{Room: name, Position: position}, now)
			if up, ok := writing[name]; ok && rapid.Bool().Draw(t, "ends") {
				held := rapid.Bool().Draw(t, "held")
				for p, r := range events {
					if held && r == name && p <= up {
						delete(events, p)
					}
				}
				l.end(name, held, now)
				delete(writing, name)
			} else if due := l.due(now, time.Hour, many); len(due) > 0 && rapid.Bool().Draw(t, "begins") {
				l.begin(due[0])
				writing[due[0]] = position
			}
			mark := l.mark(position)
			for p := range events {
				if p <= mark {
					t.Fatalf("mark %d, and event %d of %s is in no snapshot", mark, p, events[p])
				}
			}
		}
		for name := range writing {
			l.end(name, false, now)
		}
		for _, name := range l.due(now, 0, many) {
			if tail := l.begin(name); len(tail) == 0 || !slices.IsSortedFunc(tail, func(a, b *room.Event) int { return int(a.Position) - int(b.Position) }) {
				t.Fatalf("tail of %s: %v", name, tail)
			}
			l.end(name, true, now)
		}
		if l.kept != 0 || len(l.rooms) != 0 {
			t.Fatalf("%d events kept, %d rooms", l.kept, len(l.rooms))
		}
	})
}

// A room whose snapshot cannot be written, today and tomorrow, must not keep those of the others from being written: writing stops for
// a while at the first one that fails.
func TestARoomThatFailsComesLast(t *testing.T) {
	now := time.Now()
	l, many := newLedger(), func(string) int { return 1 }
	l.note(&room.Event{Room: "broken", Position: 1}, now)
	l.begin("broken")
	l.end("broken", false, now.Add(time.Second))
	l.note(&room.Event{Room: "hall", Position: 2}, now)
	l.note(&room.Event{Room: "lab", Position: 3}, now)
	if got, want := l.due(now.Add(time.Minute), time.Minute, many), []string{"hall", "lab", "broken"}; !slices.Equal(got, want) {
		t.Errorf("due %v, want %v", got, want)
	}
	if l.mark(3) != 0 {
		t.Errorf("mark %d, and event 1 is in no snapshot", l.mark(3))
	}
	l.begin("broken")
	l.note(&room.Event{Room: "broken", Position: 4}, now)
	l.end("broken", true, now)
	if got, want := l.due(now.Add(time.Minute), time.Minute, many), []string{"hall", "lab", "broken"}; !slices.Equal(got, want) {
		t.Errorf("due %v, want %v", got, want)
	}
	l.note(&room.Event{Room: "new", Position: 5}, now)
	if got := l.due(now.Add(time.Minute), time.Minute, many); got[3] != "new" {
		t.Errorf("due %v: one that failed once still comes last", got)
	}
}
