package presence

import (
	"testing"
	"time"

	"airloom/internal/room"
)

// A connection that was gone for a second, and heartbeats with it: nobody is judged by a silence from before it came back.
func TestAShortCutIsDeafnessToo(t *testing.T) {
	for _, cut := range []bool{false, true} {
		w := newWatch(Config{Instance: "p"}.withDefaults(), defaults)
		begin := time.Unix(1000, 0)
		at := func(d time.Duration) time.Time { return begin.Add(d) }
		w.Apply(&room.Event{Room: "hall", Position: 1, At: begin, Fact: room.Joined{Session: "s", Identity: "i", Edge: "e"}}, begin)
		for d := time.Duration(0); d <= 5*time.Second; d += 500 * time.Millisecond {
			if cut && d == 4*time.Second {
				w.Deafened()
			}
			w.Listening(at(d))
			if d <= time.Second {
				w.Heard("e", at(d))
			}
		}
		if due := w.Due(at(5 * time.Second)); (len(due) == 0) != cut {
			t.Errorf("cut: %v, due: %v", cut, due)
		}
	}
}
