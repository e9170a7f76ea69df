package recorder

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

// event folds one event and does what follows from it.
func (f *fold) event(ctx context.Context, m message) error {
	e, err := f.r.log.Decode(m.subject, m.data, m.pos)
	if err != nil {
		return err
	}
	if e.Traceparent != "" {
		// A link and not a parent: the event may be folded again long after its cause.
		_, span := tracer.Start(ctx, "recorder.fold", trace.WithSpanKind(trace.SpanKindConsumer),
			trace.WithLinks(trace.LinkFromContext(telemetry.FromTraceparent(ctx, e.Traceparent))),
			trace.WithAttributes(attribute.String("airloom.event", e.Fact.Type()), attribute.Int64("airloom.position", int64(e.Position))))
		defer span.End()
	}
	rm, err := f.room(ctx, e.Room, e.Position)
	if err == nil && rm.lacks(e.Fact) {
		rm, err = f.foldAnew(ctx, rm, e.Position)
	}
	if err != nil {
		return err
	}
	f.otherDefaults(rm, e.Fact)
	rm.apply(e, f.read)
	f.applyToTrack(rm, e.Fact)
	if err := f.sync(ctx, rm); err != nil {
		return err
	}
	if err := f.propose(ctx, rm, e.Traceparent); err != nil {
		return err
	}
	if rm.idle() {
		delete(f.rooms, rm.name)
	}
	f.folded = m.pos
	return nil
}

// otherDefaults warns, once, where a recording of a room that nobody has set shows that not all services were given the same --keep.
func (f *fold) otherDefaults(rm *knownRoom, fact room.Fact) {
	started, ok := fact.(room.RecordingStarted)
	if own := rm.state.Settings.Keep; ok && started.By == room.ByKeep && !rm.set && own != room.KeepRecord && !f.warned {
		f.warned = true
		f.r.logger.Warn("another recorder records rooms that nobody has set, and this one would not: give all services of the region the same --keep",
			"room", rm.name, "recording", started.Recording, "keep", own)
	}
}

// room gives a room as it was before a position.
func (f *fold) room(ctx context.Context, name string, before uint64) (*knownRoom, error) {
	if rm := f.rooms[name]; rm != nil {
		return rm, nil
	}
	rm, err := f.load(ctx, name, before)
	if err != nil {
		return nil, err
	}
	f.rooms[name] = rm
	return rm, nil
}

// load folds a room up to a position. Its recordings count as finished: a room with one that is not stays among those known.
func (f *fold) load(ctx context.Context, name string, before uint64) (rm *knownRoom, err error) {
	err = f.insist(ctx, "load room "+name, func() error {
		rm = newKnownRoom(f.r.log.NewState(name))
		err := f.r.log.Events(ctx, name, 0, func(e *room.Event) error {
			if e.Position >= before {
				return errEnough
			}
			rm.apply(e, 0)
			return nil
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, rec := range rm.recordings {
		rec.finished = true
	}
	rm.loaded()
	return rm, nil
}

var errEnough = errors.New("enough")

// insist does something with the log until the log answers.
func (f *fold) insist(ctx context.Context, what string, do func() error) error {
	for wait := newBackoff(f.r.cfg.Retry); ; {
		err := do()
		if err == nil || !errors.Is(err, eventlog.ErrAway) {
			return err
		}
		f.r.metrics.retries.Add(1)
		if ctx.Err() == nil {
			f.r.logger.Warn("the log does not answer", "doing", what, "error", err)
		}
		if err := wait.pause(ctx); err != nil {
			return err
		}
	}
}

// applyToTrack folds what is said of a track's frames.
func (f *fold) applyToTrack(rm *knownRoom, fact room.Fact) {
	kind, id := fact.Subject()
	if kind != "gap" {
		return
	}
	for _, fo := range f.follows[trackKey{rm.name, id}] {
		fo.fact(fact)
		f.touched[fo] = true
	}
}
