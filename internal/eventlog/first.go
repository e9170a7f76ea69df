package eventlog

import (
	"context"
	"errors"
	"fmt"

	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// ErrNoEvent says that a subject has no event.
var ErrNoEvent = errors.New("there is no such event")

// First reads the first event of one entity of a room: how a track or a session began. A replica that has none may lag behind: then
// the leader is asked. Errors: ErrNoEvent, ErrAway (wrapped).
func (l *Log) First(ctx context.Context, name, kind, id string) (*room.Event, error) {
	if err := errors.Join(subject.Room(name), subject.ID(id)); err != nil {
		return nil, fmt.Errorf("read first event of a %s: %w", kind, err)
	}
	messages, err := jetstreamext.GetBatch(ctx, l.bus.JetStream(), subject.EventStream(l.region), 1,
		jetstreamext.GetBatchSubject(subject.Event(l.region, name, kind, id)), jetstreamext.GetBatchSeq(1))
	if err != nil {
		return nil, fmt.Errorf("read first event of %s %s: %w: %w", kind, id, ErrAway, err)
	}
	for msg, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return l.firstOfLeader(ctx, name, kind, id)
		case err != nil:
			return nil, fmt.Errorf("read first event of %s %s: %w: %w", kind, id, ErrAway, err)
		}
		return l.Decode(msg.Subject, msg.Data, msg.Sequence)
	}
	return nil, fmt.Errorf("read first event of %s %s: %w", kind, id, ErrAway)
}

func (l *Log) firstOfLeader(ctx context.Context, name, kind, id string) (*room.Event, error) {
	request := fmt.Appendf(nil, `{"seq":1,"next_by_subj":%q}`, subject.Event(l.region, name, kind, id))
	m, err := bus.OfLeader(ctx, l.bus.JetStream(), subject.EventStream(l.region), request)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read first event of %s %s: %w: %w", kind, id, ErrAway, err)
	case m == nil:
		return nil, fmt.Errorf("read first event of %s %s: %w", kind, id, ErrNoEvent)
	}
	return l.Decode(m.Subject, m.Data, m.Position)
}
