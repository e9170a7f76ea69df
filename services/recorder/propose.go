package recorder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
