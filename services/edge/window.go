package edge

import (
	"fmt"
	"time"

	"airloom/internal/bus"
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

const (
	windowFor  = time.Second            // that a window is believed
	nothingFor = 8 * time.Second        // and that nothing is kept of a room in which nobody speaks: each page that is open asks every 5 s
	glanceFor  = 200 * time.Millisecond // for the one replica that is asked first
)

// kept tells where the room's sound begins and ends, as the log said a second ago at most to all who ask; of a room of which nothing is kept, and in
// which nobody has spoken lately, some seconds ago.
func (r *reel) kept() (windowKnown, error) {
	if known := r.windowSaid(); known.asked != 0 && nanotime()-known.asked < int64(r.believes(known)) {
		return known, nil
	}
	asked, err, _ := r.flights.Do("window", func() (any, error) {
		w, err := r.askWindow()
		if err != nil {
			return w, err
		}
		r.tape.mu.Lock()
		defer r.tape.mu.Unlock()
		r.window = w
		return w, nil
	})
	return asked.(windowKnown), err
}

func (r *reel) windowSaid() windowKnown {
	r.tape.mu.Lock()
	defer r.tape.mu.Unlock()
	return r.window
}

// believes says for how long a window is believed.
func (r *reel) believes(known windowKnown) time.Duration {
	if known.From == nil && r.silentSince(known.asked) {
		return nothingFor
	}
	return windowFor
}

// silentSince says that no sound was heard that the log keeps, after a time or shortly before it: the log may have had that a moment later.
func (r *reel) silentSince(at int64) bool {
	heard := r.heard.Load()
	return heard == 0 || at-heard > int64(nothingFor)
}

// askWindow asks where the room's sound begins and ends.
func (r *reel) askWindow() (windowKnown, error) {
	known, w := r.windowSaid(), windowKnown{asked: nanotime()}
	first, err := r.front(known)
	if err != nil || first.Position == 0 {
		return w, err
	}
	to, err := r.newest(first.At, known.To)
	if err != nil {
		return w, err
	}
	from := first.At.UTC()
	w.From, w.To, w.oldest = &from, &to, first.Position
	return w, nil
}

// front is the room's first pack; the zero Sight where there is none. A window's ends only move forward, so one replica that says what is known already
// is believed. Where it says something else the words of several are held against each other: one that lost the front or the end of the log
// would shut listeners out.
func (r *reel) front(known windowKnown) (bus.Sight, error) {
	request := fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q,"batch":1}`, r.filter)
	if known.asked != 0 {
		first, err := r.tape.glance(request)
		if err == nil && first.Position == known.oldest && (first.Position != 0 || r.silentSince(known.asked)) {
			return first, nil
		}
	}
	seen, err := r.tape.survey(request)
	return earliest(seen), err
}

// newest is when the log had the room's last pack.
func (r *reel) newest(from time.Time, known *time.Time) (to time.Time, err error) {
	end := fmt.Appendf(nil, `{"last_by_subj":%q}`, r.filter)
	if known != nil {
		if last, err := r.tape.glance(end); err == nil && !last.At.Before(*known) {
			return last.At.UTC(), nil
		}
	}
	seen, err := r.tape.survey(end)
	for _, s := range append(seen, bus.Sight{At: from}) {
		if s.At.After(to) {
			to = s.At.UTC()
		}
	}
	return to, err
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
