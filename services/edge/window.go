package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/room"
	"airloom/internal/subject"
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

func (r *reel) askWindow() (windowKnown, error) {
	w := windowKnown{asked: nanotime()}
	got, _, err := r.tape.fetch(r.filter, 1, jetstreamext.GetBatchSeq(1))
	if err != nil || len(got) == 0 {
		return w, err
	}
	newest, err := r.newest()
	if err != nil {
		return w, err
	}
	from, to := got[0].Time.UTC(), newest.UTC()
	if to.Before(from) { // the one came from a replica that lags
		to = from
	}
	w.From, w.To, w.oldest = &from, &to, got[0].Sequence
	return w, nil
}

// newest is when the log took the room's newest pack.
func (r *reel) newest() (time.Time, error) {
	request, _ := json.Marshal(map[string]string{"last_by_subj": r.filter})
	msg := &nats.Msg{Subject: "$JS.API.DIRECT.GET." + subject.LogStream(r.tape.region), Data: request}
	answer, err := r.tape.bus.Conn().RequestMsg(msg, readWithin)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the newest pack: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, answer.Header.Get("Nats-Time-Stamp"))
	if err != nil {
		return at, fmt.Errorf("ask for the newest pack: %w", errors.Join(errLogSilent, err))
	}
	return at, nil
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
