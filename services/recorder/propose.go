package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

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
		due := &rm.due[0]
		if !due.ask {
			return nil
		}
		head, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		fact.From = head.last
		if due.track != "" { // it is whole, and the others are held from there
			m, err := f.firstPack(ctx, rm, due.track)
			if err != nil {
				return err
			}
			if m != 0 {
				fact.From = m - 1
			}
		}
		if due.left != nil && due.left.known {
			fact.From = min(fact.From, due.left.through)
		}
		draft.Fact = fact
	case room.RecordingStopped:
		if rec := rm.recording(fact.Recording); fact.Idle || rec.cut != nil { // or it is known already where it ended
			return nil
		}
		head, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		fact.Through = head.last
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
		on := subject.Log(f.r.cfg.Region, rm.name, track)
		m, err := stream.GetMsg(ctx, after+1, jetstream.WithGetMsgSubject(on))
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return none(ctx, f.packs, on)
		case err != nil:
			return fmt.Errorf("%w: %w", eventlog.ErrAway, err)
		}
		position = m.Sequence
		return nil
	})
	return position, err
}

// none is the leader's word that a subject has no message: any replica answers who looks for one, also one that lags.
func none(ctx context.Context, packs *tap, on string) error {
	info, err := bus.AskLeader(ctx, packs.js, packs.stream, jetstream.WithSubjectFilter(on))
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", eventlog.ErrAway, err)
	case info.State.Subjects[on] > 0:
		return fmt.Errorf("%w: the replica that answers has not what its leader has of %s", eventlog.ErrAway, on)
	}
	return nil
}
