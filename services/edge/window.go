package edge

import (
	"fmt"
	"time"

	"airloom/internal/room"
)

// window says from when to when a room's sound can be heard again; nothing is kept where both are nil.
type window struct {
	From *time.Time `json:"from"`
	To   *time.Time `json:"to"`
}

// windowKnown is what the log said last.
type windowKnown struct {
	window
	oldest uint64 // position of the first pack
	asked  int64  // monotonic ns; 0: never
}

// kept asks the log where the room's sound begins and ends, at most once a second for all who ask.
func (r *reel) kept() (windowKnown, error) {
	t := r.tape
	t.mu.Lock()
	known := r.window
	t.mu.Unlock()
	if known.asked != 0 && nanotime()-known.asked < int64(windowFor) {
		return known, nil
	}
	asked, err, _ := r.flights.Do("window", func() (any, error) {
		w, err := r.askWindow()
		if err != nil {
			return w, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		r.window = w
		return w, nil
	})
	return asked.(windowKnown), err
}

// askWindow holds the word of several replicas against each other: one that lost the front or the end of the log would shut listeners out.
func (r *reel) askWindow() (windowKnown, error) {
	w := windowKnown{asked: nanotime()}
	seen, err := r.tape.survey(fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q,"batch":1}`, r.filter))
	if err != nil {
		return w, err
	}
	first := earliest(seen)
	if first.Position == 0 {
		return w, nil
	}
	if seen, err = r.tape.survey(fmt.Appendf(nil, `{"last_by_subj":%q}`, r.filter)); err != nil {
		return w, err
	}
	from, to := first.At.UTC(), first.At.UTC()
	for _, s := range seen {
		if s.At.After(to) {
			to = s.At.UTC()
		}
	}
	w.From, w.To, w.oldest = &from, &to, first.Position
	return w, nil
}

// windowNow is the room's window for its listeners; an edge whose log does not answer says log_away.
func (h *hub) windowNow() (window, error) {
	if h.info().Keep == room.KeepNone {
		return window{}, nil
	}
	w, err := h.reel.kept()
	if err != nil {
		return window{}, refuse("log_away", 0, "the audio log does not answer at the moment: try again")
	}
	return w.window, nil
}
