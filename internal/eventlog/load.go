package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/room"
	"airloom/internal/subject"
)

const (
	batch          = 1000  // messages per direct read
	noMessageFound = 10037 // the stream is there, and holds nothing of the kind; "no such stream" is 10059
)

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

// Events calls fn with each event of a room after a position, up to the newest there is now, in order. An error of fn
// ends it and is returned.
func (l *Log) Events(ctx context.Context, name string, after uint64, fn func(*room.Event) error) error {
	if err := subject.Room(name); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	last, err := l.LastPosition(ctx, name)
	if err != nil {
		return err
	}
	for after < last {
		next, err := l.readBatch(ctx, name, after, last, fn)
		if err != nil {
			return err
		}
		if next == after { // this replica lags behind its leader
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return fmt.Errorf("read events of %s up to %d: %w: %w", name, last, ErrAway, err)
			}
		}
		after = next
	}
	return nil
}

func (l *Log) readBatch(ctx context.Context, name string, after, last uint64, fn func(*room.Event) error) (uint64, error) {
	messages, err := jetstreamext.GetBatch(ctx, l.bus.JetStream(), subject.EventStream(l.region), batch,
		jetstreamext.GetBatchSubject(subject.RoomEvents(l.region, name)), jetstreamext.GetBatchSeq(after+1))
	if err != nil {
		return after, fmt.Errorf("read events of %s: %w: %w", name, ErrAway, err)
	}
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return after, nil
		}
		if err != nil {
			return after, fmt.Errorf("read events of %s: %w: %w", name, ErrAway, err)
		}
		if msg.Sequence > last {
			return last, nil
		}
		e, err := l.Decode(msg.Subject, msg.Data, msg.Sequence)
		if err != nil {
			return after, err
		}
		after = msg.Sequence
		if err := fn(e); err != nil {
			return after, err
		}
	}
	return after, nil
}

// Load folds a room from all of its events.
func (l *Log) Load(ctx context.Context, name string) (*room.State, error) {
	state := l.NewState(name)
	err := l.Events(ctx, name, 0, func(e *room.Event) error {
		state.Apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return state, nil
}

var errEnough = errors.New("enough")

// LoadAt folds a room as it was at a time, by the clocks of the events' writers.
func (l *Log) LoadAt(ctx context.Context, name string, at time.Time) (*room.State, error) {
	state := l.NewState(name)
	err := l.Events(ctx, name, 0, func(e *room.Event) error {
		if e.At.After(at) {
			return errEnough
		}
		state.Apply(e)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	return state, nil
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
