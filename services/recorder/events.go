package recorder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/blob"
	"airloom/internal/eventlog"
	"airloom/internal/recording"
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
	if own := rm.state.Settings.Keep; ok && started.By == byKeep && !rm.set && own != room.KeepRecord && !f.warned {
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

// propose appends the recording event that must follow, if any. Of several recorders one succeeds; the others read of it.
func (f *fold) propose(ctx context.Context, rm *knownRoom, traceparent string) error {
	draft, ok := rm.wish(f.r.cfg.Region)
	if !ok {
		return nil
	}
	err := f.insist(ctx, "append "+draft.Fact.Type(), func() error {
		_, err := f.r.log.Append(ctx, rm.name, draft, traceparent)
		return err
	})
	if err != nil && !errors.Is(err, eventlog.ErrConflict) {
		return err
	}
	rm.asked, f.asked = time.Now(), true
	return nil
}

// sync follows what a room's events say must be recorded, and tells the followed tracks of their end.
func (f *fold) sync(ctx context.Context, rm *knownRoom) error {
	for _, rec := range rm.recordings {
		if rec.finished {
			continue
		}
		for _, track := range rec.members {
			if err := f.member(ctx, rm, rec, track); err != nil {
				return err
			}
		}
		if err := f.finishRecording(ctx, rm, rec); err != nil {
			return err
		}
	}
	rm.forget()
	return nil
}

func (f *fold) member(ctx context.Context, rm *knownRoom, rec *knownRecording, track string) error {
	if _, done := rec.done[track]; done {
		return nil
	}
	fo := f.follows[trackKey{rm.name, track}]
	if fo == nil {
		var err error
		if fo, err = f.begin(ctx, rm, rec, track); err != nil || fo == nil {
			return err
		}
	} else if !slices.Contains(fo.recordings, rec.id) {
		if err := f.join(ctx, fo, rec.id); err != nil {
			return err
		}
	}
	if s := rm.tracks[track]; s.over != 0 && fo.closing == nil {
		if fo.noticed.IsZero() {
			fo.noticed = time.Now()
		}
		fo.end(s.endKnown, s.endEpoch, s.last)
	}
	return nil
}

// begin follows a track from its first pack. It returns nil where the track is stored whole already.
func (f *fold) begin(ctx context.Context, rm *knownRoom, rec *knownRecording, track string) (*follow, error) {
	data, err := f.keeper.get(ctx, recording.TrackKey(rec.id, track))
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return nil, err
	}
	unreadable := error(nil)
	if err == nil {
		if unreadable = rec.remember(track, data); unreadable == nil {
			return nil, nil
		}
	}
	fo := f.follow(rm, track)
	fo.recordings = []string{rec.id}
	if unreadable != nil {
		if err := f.salvage(ctx, fo, rec.id, unreadable); err != nil {
			return nil, err
		}
	} else if f.unpointed && f.logAt.first > 1 {
		if err := f.takeStored(ctx, fo, rec.id); err != nil {
			return nil, err
		}
	}
	if s := rm.tracks[track]; s.logRead < f.read {
		return fo, f.readAgain(ctx, ctx, fo, s.logRead, f.read)
	}
	return fo, nil
}

// follow makes the fold of a track out of the facts.
func (f *fold) follow(rm *knownRoom, track string) *follow {
	s := rm.tracks[track]
	fo := newFollow(rm.name, s.info, s.handle)
	fo.firstEpoch = s.firstEpoch
	if s.over != 0 {
		fo.end(s.endKnown, s.endEpoch, s.last)
		fo.noticed = time.Now()
	}
	for _, fact := range s.facts {
		fo.fact(fact)
	}
	f.follows[trackKey{rm.name, track}] = fo
	f.touched[fo] = true
	f.r.metrics.follows.Store(int64(len(f.follows)))
	return fo
}

// join adds a recording to those that hold a track: what was closed is copied, the log may have forgotten it.
func (f *fold) join(ctx context.Context, fo *follow, id string) error {
	fo.writes.Wait()
	from := fo.recordings[0]
	var gone []damaged
	for epochID, e := range fo.epochs {
		for r := range e.done.All() {
			for n := r.From; n <= r.To; n++ {
				data, err := f.keeper.get(ctx, recording.SegmentKey(from, fo.info.Track, epochID, n))
				if errors.Is(err, blob.ErrNotExist) {
					gone = append(gone, damaged{recording: from, track: fo.info.Track, epoch: epochID, n: n, why: err})
					continue
				}
				if err == nil {
					err = f.keeper.putNew(ctx, recording.SegmentKey(id, fo.info.Track, epochID, n), data)
				}
				if err != nil {
					return fmt.Errorf("add track %s to recording %s: %w", fo.info.Track, id, err)
				}
			}
		}
	}
	fo.recordings = append(fo.recordings, id)
	for i := range gone {
		if err := f.mend(ctx, fo, &gone[i]); err != nil {
			return err
		}
	}
	return nil
}

// applyToTrack folds what is said of a track's frames.
func (f *fold) applyToTrack(rm *knownRoom, fact room.Fact) {
	kind, id := fact.Subject()
	fo := f.follows[trackKey{rm.name, id}]
	if kind != "gap" || fo == nil {
		return
	}
	fo.fact(fact)
	f.touched[fo] = true
}
