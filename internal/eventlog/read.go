package eventlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

const batch = 1000 // messages per direct read

// Events calls fn with each event of a room after a position, up to the newest there is now, in order. An error of fn
// ends it and is returned. Errors: ErrAway, and ErrTorn besides where fn has missed an event.
func (l *Log) Events(ctx context.Context, name string, after uint64, fn func(*room.Event) error) error {
	if err := subject.Room(name); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	last, err := l.LastPosition(ctx, name)
	if err != nil {
		return err
	}
	err = l.read(ctx, name, after, last, fn)
	if errors.Is(err, ErrTorn) {
		err = fmt.Errorf("%w: %w", ErrAway, err)
	}
	return err
}

// reading is one way through a room's events.
type reading struct {
	log   *Log
	room  string
	from  uint64   // nothing before is read
	last  uint64   // and nothing behind
	given []uint64 // positions, in order: what a later event builds on must be among them
	torn  bool     // an event was missing before what fn has had
}

// read calls fn with each event of a room after a position, up to last.
func (l *Log) read(ctx context.Context, name string, after, last uint64, fn func(*room.Event) error) error {
	r := &reading{log: l, room: name, from: after, last: last}
	err := r.run(ctx, fn)
	if (err == nil || errors.Is(err, errEnough)) && !r.torn {
		r.torn = r.short(ctx)
	}
	if (err == nil || errors.Is(err, errEnough)) && r.torn {
		return fmt.Errorf("read events of %s: %w", name, ErrTorn)
	}
	return err
}

func (r *reading) run(ctx context.Context, fn func(*room.Event) error) error {
	after := r.from
	for empty := 0; after < r.last; {
		messages, err := r.batch(ctx, after)
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			if empty++; empty > maxWaits && after < r.last {
				return fmt.Errorf("read events of %s up to %d: %w: no replica that answers has what comes behind %d", r.room, r.last, ErrAway, after)
			}
			if err := pause(ctx, 20*time.Millisecond); err != nil { // this replica lags behind its leader
				return fmt.Errorf("read events of %s up to %d: %w: %w", r.room, r.last, ErrAway, err)
			}
			continue
		}
		empty = 0
		if messages, err = r.whole(ctx, after, messages); err != nil {
			return err
		}
		after = messages[len(messages)-1].Position
		if err := r.give(messages, fn); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) give(messages []bus.Stored, fn func(*room.Event) error) error {
	for _, m := range messages {
		r.given = append(r.given, m.Position)
		if r.torn {
			continue
		}
		e, err := r.log.Decode(m.Subject, m.Data, m.Position)
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// batch reads the next messages from some replica; none where it has no more up to last. Each says which one was sent before it: behind
// one that was lost on its way (the connection went to another server meanwhile, say) the batch ends, and is asked for anew.
func (r *reading) batch(ctx context.Context, after uint64) (all []bus.Stored, err error) {
	messages, err := jetstreamext.GetBatch(ctx, r.log.bus.JetStream(), subject.EventStream(r.log.region), batch,
		jetstreamext.GetBatchSubject(subject.RoomEvents(r.log.region, r.room)), jetstreamext.GetBatchSeq(after+1))
	if err != nil {
		return nil, fmt.Errorf("read events of %s: %w: %w", r.room, ErrAway, err)
	}
	sent := uint64(0)
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read events of %s: %w: %w", r.room, ErrAway, err)
		}
		if before, ok := bus.SentBefore(msg.Header); ok && before != sent {
			return all, nil
		}
		sent = msg.Sequence
		if msg.Sequence > r.last {
			if len(all) == 0 { // the leader has one before it, this replica has not
				return r.newest(ctx)
			}
			return all, nil
		}
		all = append(all, bus.Stored{Position: msg.Sequence, At: msg.Time, Subject: msg.Subject, Header: msg.Header, Data: msg.Data})
	}
	return all, nil
}

// newest reads the last event from whichever replica has it. Where none has, the reading ends before it.
func (r *reading) newest(ctx context.Context) ([]bus.Stored, error) {
	m, err := r.log.holes.fill(ctx, r.log, r.last)
	if err != nil {
		return nil, fmt.Errorf("read event %d of %s: %w: %w", r.last, r.room, ErrAway, err)
	}
	if m == nil {
		r.last = 0
		return nil, nil
	}
	return []bus.Stored{*m}, nil
}

// whole puts into a batch what the replica that gave it lacks, as far as that can be told: each event names the one before it on its
// subject, because it was appended on that condition.
func (r *reading) whole(ctx context.Context, after uint64, messages []bus.Stored) ([]bus.Stored, error) {
	messages = r.log.holes.known(subject.RoomEvents(r.log.region, r.room), after, messages)
	for i := 0; i < len(messages); i++ {
		before, err := strconv.ParseUint(messages[i].Header.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
		if err != nil || before <= r.from || before >= messages[i].Position || r.has(before, messages) {
			continue
		}
		m, err := r.log.holes.fill(ctx, r.log, before)
		if err != nil {
			return nil, fmt.Errorf("read event %d of %s: %w: %w", before, r.room, ErrAway, err)
		}
		if m == nil {
			continue // nobody has it, which was told
		}
		if before <= after { // fn had what comes behind it
			r.torn = true
			at, _ := slices.BinarySearch(r.given, before)
			r.given = slices.Insert(r.given, at, before)
			continue
		}
		at, _ := slices.BinarySearchFunc(messages, before, byPosition)
		messages = slices.Insert(messages, at, *m)
		i = at - 1 // what it builds on may be missing, too
	}
	return messages, nil
}

func (r *reading) has(position uint64, messages []bus.Stored) bool {
	if _, ok := slices.BinarySearchFunc(messages, position, byPosition); ok {
		return true
	}
	_, ok := slices.BinarySearch(r.given, position)
	return ok
}

func byPosition(m bus.Stored, position uint64) int {
	switch {
	case m.Position < position:
		return -1
	case m.Position > position:
		return 1
	}
	return 0
}
