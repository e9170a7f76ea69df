package eventlog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// Snapped says what WriteSnapshot found or left behind.
type Snapped struct {
	Position uint64 // of the newest event in the snapshot that is there now
	Events   uint64 // folded into it
	Written  bool   // false: the one that was there holds everything
}

// Known is what the caller of WriteSnapshot knows of a room. The zero value knows nothing.
type Known struct {
	UpTo   uint64        // the position to fold up to; 0: the newest there is
	Events uint64        // how many events there are at least up to there
	Tail   []*room.Event // the newest of them, in order, for as far back as it knows
}

// WriteSnapshot folds a room, from its snapshot if it has one, and stores the result in its place, if it holds as many events as the
// caller knows of. What it writes is the fold of the log and of nothing else, so it does not matter who writes. Errors: ErrConflict
// where another one was faster, ErrTorn, ErrSkipped, ErrAway.
func (l *Log) WriteSnapshot(ctx context.Context, name string, known Known) (Snapped, error) {
	if err := l.skipped.whole(); err != nil {
		return Snapped{}, fmt.Errorf("write snapshot of %s: %w", name, err)
	}
	state, was, err := l.foldForth(ctx, name, known)
	if err == nil && state == nil {
		state, was, err = l.load(ctx, name, known.UpTo)
	}
	if err == nil && state.Events() < known.Events && was.state != nil {
		was.state = nil
		state, err = l.foldAll(ctx, name, state.Position, nil)
	}
	switch {
	case err != nil:
		return Snapped{}, fmt.Errorf("write snapshot of %s: %w", name, err)
	case state.Events() < known.Events:
		return Snapped{}, fmt.Errorf("write snapshot of %s: %d events up to %d, not %d: %w", name, state.Events(), state.Position, known.Events, ErrTorn)
	}
	done := Snapped{Position: state.Position, Events: state.Events()}
	if state.Position == 0 || was.state != nil && was.position == state.Position {
		return done, nil
	}
	if err := l.store(ctx, state, was); err != nil {
		return Snapped{}, fmt.Errorf("write snapshot of %s: %w", name, classify(err))
	}
	done.Written = true
	return done, nil
}

// foldForth folds the events that the caller has onto the snapshot, without reading them from the log: for a few events of one room a
// server looks through those of all rooms. state is nil where that does not lead to exactly what the caller knows.
func (l *Log) foldForth(ctx context.Context, name string, known Known) (state *room.State, was stored, err error) {
	if len(known.Tail) == 0 {
		return nil, was, nil
	}
	was, err = l.readSnapshot(ctx, name)
	if err != nil && !unusable(err) {
		return nil, was, err
	}
	if state = was.state; state == nil || !l.holds(ctx, state) {
		return nil, stored{}, nil
	}
	for _, e := range known.Tail {
		state.Apply(e)
	}
	if state.Position < known.UpTo || state.Events() < known.Events || state.Position == known.UpTo && state.Events() != known.Events {
		return nil, stored{}, nil
	}
	return state, was, nil
}

// holds says whether the log has a state's newest event as the state knows it.
func (l *Log) holds(ctx context.Context, state *room.State) bool {
	found := false
	err := l.read(ctx, state.Room, state.Position-1, state.Position, func(e *room.Event) error {
		found = e.Position == state.Position && e.At.Equal(state.At())
		return nil
	})
	return err == nil && found
}

// store writes a snapshot if the one that was read is still the newest. The parts of a large one are stored together or not at all.
func (l *Log) store(ctx context.Context, state *room.State, was stored) error {
	first, parts, err := pack(state)
	if err != nil {
		return err
	}
	on := subject.Snapshot(l.region, state.Room)
	if len(parts) == 0 && was.parts == 0 {
		_, err := l.bus.JetStream().PublishMsg(ctx, &nats.Msg{Subject: on, Data: first},
			jetstream.WithExpectLastSequencePerSubject(was.seq), jetstream.WithRetryAttempts(0))
		return err
	}
	for len(parts) < was.parts {
		parts = append(parts, nil) // of the larger one before: nothing reads them, and they take no room any more
	}
	batch := make([]*nats.Msg, 0, len(parts)+1)
	for i, part := range parts {
		batch = append(batch, &nats.Msg{Subject: subject.SnapshotPart(l.region, state.Room, i+1), Data: part, Header: nats.Header{}})
	}
	expect := nats.Header{}
	expect.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(was.seq, 10))
	batch = append(batch, &nats.Msg{Subject: on, Data: first, Header: expect})
	_, err = jetstreamext.PublishMsgBatch(ctx, l.bus.JetStream(), batch)
	return err
}

// unusable says that an error is about a snapshot alone: the room can be folded without it.
func unusable(err error) bool { return err != nil && errors.Is(err, errSnapshot) }
