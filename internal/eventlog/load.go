package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"airloom/internal/room"
	"airloom/internal/subject"
)

const noMessageFound = 10037 // the stream is there, and holds nothing of the kind; "no such stream" is 10059

// LastPosition asks the stream's leader for the position of a room's newest event; 0 when it has none.
func (l *Log) LastPosition(ctx context.Context, name string) (uint64, error) {
	request, _ := json.Marshal(map[string]string{"last_by_subj": subject.RoomEvents(l.region, name)})
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	reply, err := l.bus.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+subject.EventStream(l.region), request)
	if err != nil {
		return 0, fmt.Errorf("ask for the last event of %s: %w: %w", name, ErrAway, err)
	}
	var answer struct {
		Error *struct {
			Code int    `json:"err_code"`
			Text string `json:"description"`
		} `json:"error"`
		Message struct {
			Seq uint64 `json:"seq"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return 0, fmt.Errorf("ask for the last event of %s: %w", name, err)
	}
	if answer.Error != nil {
		if answer.Error.Code == noMessageFound {
			return 0, nil
		}
		return 0, fmt.Errorf("ask for the last event of %s: %w: %s", name, ErrAway, answer.Error.Text)
	}
	return answer.Message.Seq, nil
}

// Load gives a room as it is now: its snapshot and the events behind it, or the fold of all its events.
func (l *Log) Load(ctx context.Context, name string) (*room.State, error) {
	state, _, err := l.load(ctx, name, 0)
	return state, err
}

// load is Load up to a position (0: the newest there is). A snapshot that reaches further is given as it is.
func (l *Log) load(ctx context.Context, name string, upTo uint64) (*room.State, stored, error) {
	last, was, err := l.begin(ctx, name)
	if err != nil {
		return nil, was, err
	}
	if upTo != 0 {
		last = min(last, max(upTo, was.position))
	}
	if was.state != nil {
		err := l.behind(ctx, was.state, last, nil)
		if err == nil || !unusable(err) {
			return was.state, was, err
		}
		l.passOverSnapshot(name, err)
		was.state = nil
	}
	state, err := l.foldAll(ctx, name, last, nil)
	return state, was, err
}

// begin asks for a room's last position and its snapshot at once.
func (l *Log) begin(ctx context.Context, name string) (last uint64, was stored, err error) {
	if err := subject.Room(name); err != nil {
		return 0, was, fmt.Errorf("load room: %w", err)
	}
	read, snapshotErr := make(chan struct{}), error(nil)
	go func() {
		defer close(read)
		was, snapshotErr = l.readSnapshot(ctx, name)
	}()
	last, err = l.LastPosition(ctx, name)
	<-read
	if err == nil && snapshotErr != nil {
		l.passOverSnapshot(name, snapshotErr)
	}
	return last, was, err
}

// behind folds the events behind a snapshot, up to the room's last one or for as long as they are wanted (nil: all). The log must hold the snapshot's newest event as the
// snapshot knows it: else it belongs to another log, one that was deleted and began anew.
func (l *Log) behind(ctx context.Context, state *room.State, last uint64, wanted func(*room.Event) bool) error {
	at := state.Position
	if last < at {
		return fmt.Errorf("%w: it ends at %d, the log's last event of the room is %d", errSnapshot, at, last)
	}
	met := false
	err := l.read(ctx, state.Room, at-1, last, func(e *room.Event) error {
		if !met && (e.Position != at || !e.At.Equal(state.At())) {
			return fmt.Errorf("%w: the log has another event at %d", errSnapshot, at)
		}
		met = true
		if wanted != nil && !wanted(e) {
			return errEnough
		}
		state.Apply(e)
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case errors.Is(err, ErrTorn):
		return fmt.Errorf("%w: %w", errSnapshot, err) // fold again from the beginning, with what was missing
	}
	return err
}

// foldAll folds a room from its first event up to a position, or for as long as they are wanted (nil: all).
func (l *Log) foldAll(ctx context.Context, name string, last uint64, wanted func(*room.Event) bool) (state *room.State, err error) {
	for range maxTorn {
		state = l.NewState(name)
		err = l.read(ctx, name, 0, last, func(e *room.Event) error {
			if wanted != nil && !wanted(e) {
				return errEnough
			}
			state.Apply(e)
			return nil
		})
		if !errors.Is(err, ErrTorn) {
			break
		}
	}
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return state, nil
}

var errEnough = errors.New("enough")

// LoadAt gives a room as it was at a time, by the clocks of the events' writers.
func (l *Log) LoadAt(ctx context.Context, name string, at time.Time) (*room.State, error) {
	last, was, err := l.begin(ctx, name)
	if err != nil {
		return nil, err
	}
	wanted := func(e *room.Event) bool { return !e.At.After(at) }
	// Only a snapshot of which every event is old enough: the clocks of writers differ, and the first one that is later ends it.
	if state := was.state; state != nil && !state.Latest().After(at) {
		err := l.behind(ctx, state, last, wanted)
		if err == nil || !unusable(err) {
			return state, err
		}
		l.passOverSnapshot(name, err)
	}
	return l.foldAll(ctx, name, last, wanted)
}

// Decide loads a room, lets decide choose an event and appends it, and does so again while others are faster. It
// returns the state it decided on and the event's position. An error of decide is returned as it is.
func (l *Log) Decide(ctx context.Context, name, traceparent string, decide func(*room.State) (room.Draft, error)) (*room.State, uint64, error) {
	for {
		state, err := l.Load(ctx, name)
		if err != nil {
			return nil, 0, err
		}
		draft, err := decide(state)
		if err != nil {
			return state, 0, err
		}
		position, err := l.Append(ctx, name, draft, traceparent)
		if err == nil || !errors.Is(err, ErrConflict) {
			return state, position, err
		}
		if err := pause(ctx, time.Duration(rand.Int64N(int64(20*time.Millisecond)))); err != nil {
			return state, 0, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
