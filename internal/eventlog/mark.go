package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/subject"
)

const markVersion = 1

// Mark says that the snapshots of a region, together with the events behind Position, hold everything: every room with an event up to
// there has a snapshot that holds it.
type Mark struct {
	Version  int       `json:"version"`
	Position uint64    `json:"position"`
	Rooms    int       `json:"rooms"`   // snapshots there are at least; with fewer some were lost
	Created  time.Time `json:"created"` // when the event stream was made: another one has other positions
	Clock    Clock     `json:"clock"`

	seq uint64 // of the mark in the stream of snapshots
}

// Clock is the clock by which the event stream stamps what it stores.
type Clock struct {
	Server string    `json:"server"` // the server process that led the stream
	Since  time.Time `json:"since"`  // by its own clock: it has led from here on, or was seen leading
}

// Stand is what the event stream's leader says of it.
type Stand struct {
	Last    uint64    // newest position
	Created time.Time // when the stream was made
	Now     time.Time // by the leader's clock
	Clock   Clock     // Since is zero where the server does not tell
}

// Stand asks the event stream's leader where it is.
func (l *Log) Stand(ctx context.Context) (Stand, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	stream, err := l.bus.JetStream().Stream(ctx, subject.EventStream(l.region))
	if err != nil {
		return Stand{}, fmt.Errorf("ask for the event stream of %s: %w: %w", l.region, ErrAway, err)
	}
	info := stream.CachedInfo()
	s := Stand{Last: info.State.LastSeq, Created: info.Created.UTC(), Now: info.TimeStamp}
	switch c := info.Cluster; {
	case c != nil && c.LeaderSince != nil:
		s.Clock = Clock{Server: c.Leader, Since: *c.LeaderSince}
	case l.bus.Conn().ConnectedClusterName() == "": // the one server there is; its id is new at each start
		s.Clock = Clock{Server: l.bus.Conn().ConnectedServerId()}
	}
	return s, nil
}

// readMark reads the newest mark; the zero Mark where there is none that counts.
func (l *Log) readMark(ctx context.Context) (m Mark, err error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	messages, err := jetstreamext.GetLastMsgsFor(ctx, l.bus.JetStream(), subject.SnapshotStream(l.region), []string{subject.SnapshotMark(l.region)})
	if err != nil {
		return m, fmt.Errorf("read the mark of the snapshots: %w: %w", ErrAway, err)
	}
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("read the mark of the snapshots: %w: %w", ErrAway, err)
		}
		if err := json.Unmarshal(msg.Data, &m); err != nil || m.Version != markVersion {
			l.logger.Warn("the mark of the snapshots cannot be used", "version", m.Version, "error", err)
			m = Mark{}
		}
		m.seq = msg.Sequence
	}
	return m, nil
}

// WriteMark stores a mark, if none that is there reaches further. The stream's stand at the time fills in the rest of it.
func (l *Log) WriteMark(ctx context.Context, position uint64, rooms int) error {
	stand, err := l.Stand(ctx)
	if err != nil {
		return err
	}
	was, err := l.readMark(ctx)
	if err != nil {
		return err
	}
	m := Mark{Version: markVersion, Position: position, Rooms: rooms, Created: stand.Created, Clock: stand.Clock}
	if was.Created.Equal(m.Created) {
		if was.Position > position {
			return nil
		}
		m.Rooms = max(m.Rooms, was.Rooms) // a room's snapshot is there for good
	}
	if m.Clock.Since.IsZero() {
		m.Clock.Since = stand.Now
		if was.Clock.Server == m.Clock.Server && m.Clock.Server != "" {
			m.Clock.Since = was.Clock.Since
		}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the mark of the snapshots: %w", err)
	}
	if _, err = l.bus.JetStream().Publish(ctx, subject.SnapshotMark(l.region), body,
		jetstream.WithExpectLastSequencePerSubject(was.seq), jetstream.WithRetryAttempts(0)); err != nil {
		return fmt.Errorf("write the mark of the snapshots: %w", classify(err))
	}
	return nil
}
