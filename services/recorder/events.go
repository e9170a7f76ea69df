package recorder

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/blob"
	"airloom/internal/eventlog"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
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
	if err := f.place(ctx, rm, &draft); err != nil {
		return err
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

// place puts into a recording event the position of the audio log that it lacks.
func (f *fold) place(ctx context.Context, rm *knownRoom, draft *room.Draft) error {
	switch fact := draft.Fact.(type) {
	case room.RecordingStarted:
		if !rm.due.ask {
			return nil
		}
		head, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		fact.From = head.last
		if rm.due.track != "" { // it is to be whole, and the others held from there
			m, err := f.firstPack(ctx, rm, rm.due.track)
			if err != nil {
				return err
			}
			if m != 0 {
				fact.From = m - 1
			}
		}
		draft.Fact = fact
	case room.RecordingStopped:
		if !rm.state.Stopping {
			return nil
		}
		head, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		fact.Through = max(head.last, 1) // 0 says: to the end
		draft.Fact = fact
	}
	return nil
}

// firstPack is the log position of a track's first pack, 0 where there is none yet.
func (f *fold) firstPack(ctx context.Context, rm *knownRoom, track string) (position uint64, err error) {
	after := uint64(0)
	if s := rm.tracks[track]; s != nil {
		after = s.logRead
	}
	err = f.insist(ctx, "look for the beginning of track "+track, func() error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		stream, err := f.packs.js.Stream(ctx, f.packs.stream)
		if err != nil {
			return fmt.Errorf("%w: %w", eventlog.ErrAway, err)
		}
		m, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(subject.Log(f.r.cfg.Region, rm.name, track)))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", eventlog.ErrAway, err)
		}
		position = m.Sequence
		return nil
	})
	return position, err
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
	fo := f.followOf(rm.name, track, rec.id)
	if fo == nil {
		var err error
		if fo, err = f.begin(ctx, rm, rec, track); err != nil || fo == nil {
			return err
		}
	}
	if fo.held = rec.held(); fo.held {
		return nil
	}
	f.touched[fo] = true
	if _, cut := rec.cut[track]; cut {
		fo.cut(rec.through)
		return nil
	}
	if s := rm.tracks[track]; s.over != 0 && (fo.closing == nil || !fo.ended) {
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
	fo := f.follow(rm, rec, track)
	if unreadable != nil {
		if err := f.salvage(ctx, fo, rec.id, unreadable); err != nil {
			return nil, err
		}
	} else if f.unpointed && f.logAt.first > 1 {
		if err := f.takeStored(ctx, fo, rec.id); err != nil {
			return nil, err
		}
	}
	if !fo.clipped() && !rec.stopping {
		if err := f.copy(ctx, fo); err != nil {
			return nil, err
		}
	}
	if after := max(rm.tracks[track].logRead, fo.from); after < f.read {
		return fo, f.readAgain(ctx, ctx, fo, after, f.read)
	}
	return fo, nil
}

// follow makes the fold of a track for a recording out of the facts.
func (f *fold) follow(rm *knownRoom, rec *knownRecording, track string) *follow {
	s := rm.tracks[track]
	fo := rec.follow(rm, s)
	fo.held = rec.held()
	if s.over != 0 && !fo.cutOff {
		fo.end(s.endKnown, s.endEpoch, s.last)
		fo.noticed = time.Now()
	}
	key := trackKey{rm.name, track}
	f.follows[key] = append(f.follows[key], fo)
	f.touched[fo] = true
	f.countFollows()
	return fo
}

// follow makes the fold of a track with the facts that count for the recording, and its clip.
func (rec *knownRecording) follow(rm *knownRoom, s *knownTrack) *follow {
	fo := newFollow(rm.name, s.info, s.handle)
	fo.recording, fo.from, fo.firstEpoch = rec.id, rec.clipFrom(s), s.firstEpoch
	facts, isCut := rec.cut[s.info.Track]
	if !isCut {
		facts = len(s.facts)
	}
	for _, fact := range s.facts[:facts] {
		fo.fact(fact)
	}
	if isCut {
		fo.cut(rec.through)
	}
	return fo
}

func (fo *follow) key() trackKey { return trackKey{fo.room, fo.info.Track} }

// followed are all that are followed.
func (f *fold) followed() iter.Seq[*follow] {
	return func(yield func(*follow) bool) {
		for _, some := range f.follows {
			for _, fo := range some {
				if !yield(fo) {
					return
				}
			}
		}
	}
}

// followOf gives the follow of a track for a recording, nil where there is none.
func (f *fold) followOf(room, track, recording string) *follow {
	for _, fo := range f.follows[trackKey{room, track}] {
		if fo.recording == recording {
			return fo
		}
	}
	return nil
}

func (f *fold) unfollow(fo *follow) {
	left := slices.DeleteFunc(f.follows[fo.key()], func(other *follow) bool { return other == fo })
	if f.follows[fo.key()] = left; len(left) == 0 {
		delete(f.follows, fo.key())
	}
	delete(f.touched, fo)
	f.countFollows()
}

func (f *fold) countFollows() {
	n := int64(0)
	for range f.followed() {
		n++
	}
	f.r.metrics.follows.Store(n)
}

// copy takes what another recording that holds the track from its beginning has closed of it: the log may have forgotten that. What was closed by
// facts before this recording was even started is the same in both.
func (f *fold) copy(ctx context.Context, fo *follow) error {
	for _, other := range f.follows[fo.key()] {
		if other == fo || other.clipped() || other.closing != nil {
			continue
		}
		other.writes.Wait()
		var gone []*damaged
		for id, e := range other.epochs {
			for r := range e.done.All() {
				for n := r.From; n <= r.To; n++ {
					bad, err := f.copySegment(ctx, fo, other, segmentID{id, n})
					if err != nil {
						return fmt.Errorf("add track %s to recording %s: %w", fo.info.Track, fo.recording, err)
					}
					if bad != nil {
						gone = append(gone, bad)
					}
				}
			}
		}
		for _, bad := range gone {
			if err := f.mendBoth(ctx, fo, other, bad); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// copySegment gives what is damaged in the other recording.
func (f *fold) copySegment(ctx context.Context, fo, other *follow, id segmentID) (bad *damaged, err error) {
	if fo.has(id) {
		return nil, nil
	}
	want := wanted{room: fo.room, handle: fo.handle, damaged: damaged{recording: other.recording, track: fo.info.Track, epoch: id.epoch, n: id.n}}
	if _, foreign := other.foreign.Load(id); !foreign {
		want.sum = other.epochs[id.epoch].sums[id.n]
	}
	var data []byte
	var segment *recording.Segment
	err = f.keeper.insist(ctx, "read "+want.key(), func(ctx context.Context) (err error) {
		data, segment, err = f.keeper.look(ctx, want)
		return err
	})
	if errors.As(err, &bad) {
		return bad, nil
	}
	if err == nil {
		err = f.keeper.putNew(ctx, recording.SegmentKey(fo.recording, fo.info.Track, id.epoch, id.n), data)
	}
	if err == nil {
		fo.take(segment, fingerprintOf(data))
	}
	return nil, err
}

// mendBoth is for a segment that is damaged where it was to be copied from. What is not put back is made again in both, or declared storage_corrupt
// by both.
func (f *fold) mendBoth(ctx context.Context, fo, other *follow, bad *damaged) error {
	if err := f.mend(ctx, other, bad); err != nil {
		return err
	}
	id := segmentID{bad.epoch, bad.n}
	if other.has(id) {
		again, err := f.copySegment(ctx, fo, other, id)
		if err != nil || again == nil {
			return err
		}
	}
	e := fo.epochs[id.epoch]
	if e == nil {
		e = newEpoch(other.epochs[id.epoch].unit)
		fo.epochs[id.epoch] = e
	}
	e.reopen(id.n)
	return nil
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
