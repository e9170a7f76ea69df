package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// lookAnyway is how often a followed room is read although nothing rang: a ring that was lost costs no more than this.
const lookAnyway = 5 * time.Second

// events streams a room's events as one JSON object per line: those that are there, and with follow=true those that come.
func (d *door) events(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("room")
	if _, err := d.admit(r, name, anyRight); err != nil {
		return err
	}
	after, follow, err := eventsQuery(r)
	if err != nil {
		return err
	}
	out := &lines{w: w, control: http.NewResponseController(w), after: after}
	if !follow || r.Method == http.MethodHead {
		return d.copyEvents(r.Context(), name, out)
	}
	select {
	case d.follows <- struct{}{}:
		defer func() { <-d.follows }()
	default:
		return overloaded()
	}
	ctx, stop := d.untilStop(r.Context())
	defer stop()
	return d.follow(ctx, name, out)
}

func eventsQuery(r *http.Request) (after uint64, follow bool, err error) {
	q := r.URL.Query()
	if text := q.Get("after"); text != "" {
		if after, err = strconv.ParseUint(text, 10, 63); err != nil {
			return 0, false, badQuery("after", "a position: a whole number from 0 on")
		}
	}
	switch q.Get("follow") {
	case "", "false":
	case "true":
		follow = true
	default:
		return 0, false, badQuery("follow", "true or false")
	}
	return after, follow, nil
}

// untilStop gives a context that also ends when the edge drains.
func (d *door) untilStop(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
		case <-d.deps.Stop:
			cancel()
		}
	}()
	return ctx, func() {
		cancel()
		<-done
	}
}

// follow reads the log whenever a committed event is heard, instead of passing on what it hears: so nothing is missed where the
// subscription and the log meet, and nothing when a message is lost.
func (d *door) follow(ctx context.Context, name string, out *lines) error {
	ring := make(chan struct{}, 1) // full: it rings already
	sub, err := d.deps.Bus.Conn().Subscribe(subject.LiveRoomEvents(name), func(*nats.Msg) {
		select {
		case ring <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("follow events of %s: %w", name, err)
	}
	defer func() { _ = sub.Unsubscribe() }() // fails only where the connection is closed, and the subscription with it
	tick := time.NewTicker(lookAnyway)
	defer tick.Stop()
	for {
		if err := d.copyEvents(ctx, name, out); err != nil {
			if ctx.Err() != nil {
				return nil // the receiver has gone, or the edge drains: the stream ends between two events
			}
			if !out.begun || !errors.Is(err, eventlog.ErrAway) || errors.Is(err, eventlog.ErrTorn) {
				return err
			}
			// The log comes back, and nothing is lost until then.
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ring:
		case <-tick.C:
			if err := out.alive(); err != nil {
				return nil // the receiver has gone
			}
		}
	}
}

// copyEvents writes the events behind out.after up to the newest.
func (d *door) copyEvents(ctx context.Context, name string, out *lines) error {
	err := d.deps.Log.Events(ctx, name, out.after, out.event)
	if err == nil {
		err = out.flush()
	}
	return refuse(err)
}

// lines writes newline-delimited JSON.
type lines struct {
	w       http.ResponseWriter
	control *http.ResponseController
	after   uint64 // position of the newest event written
	begun   bool
}

func (l *lines) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.Header().Set("Cache-Control", "no-store")
		l.w.Header().Set("X-Accel-Buffering", "no") // proxies that gather would hold events back
		l.w.WriteHeader(http.StatusOK)
	}
}

func (l *lines) event(e *room.Event) error {
	body, err := json.Marshal(e.Public())
	if err != nil {
		return fmt.Errorf("encode event at %d: %w", e.Position, err)
	}
	l.begin()
	_ = l.control.SetWriteDeadline(time.Now().Add(writePatience)) // a receiver that reads nothing must not hold us
	if _, err := l.w.Write(append(body, '\n')); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	l.after = e.Position
	return nil
}

// alive writes an empty line, so that who waits for events can tell a quiet room from a dead edge.
func (l *lines) alive() error {
	l.begin()
	_ = l.control.SetWriteDeadline(time.Now().Add(writePatience))
	if _, err := l.w.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

func (l *lines) flush() error {
	l.begin()
	_ = l.control.SetWriteDeadline(time.Now().Add(writePatience))
	if err := l.control.Flush(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}
