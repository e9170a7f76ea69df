package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

const (
	markVersion = 1
	askedAtOnce = 500 // subjects of a direct read, of which a server takes 1,024
)

// Mark says that the snapshots of a region, together with the events behind Position, hold everything: every room with an event up to
// there has a snapshot that holds it.
type Mark struct {
	Version  int       `json:"version"`
	Position uint64    `json:"position"`
	Messages int       `json:"messages"` // that the snapshots consist of; where there are fewer some were purged
	Created  time.Time `json:"created"`  // when the event stream was made: another one has other positions
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
	info, err := bus.AskLeader(ctx, l.bus.JetStream(), subject.EventStream(l.region))
	if err != nil {
		return Stand{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
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
	if err := ctx.Err(); err != nil && m.seq == 0 { // an answer that does not come just ends
		return m, fmt.Errorf("read the mark of the snapshots: %w: %w", ErrAway, err)
	}
	return m, nil
}

// ErrPurged says that there are fewer snapshots than there were: a mark would promise what is not there any more.
var ErrPurged = errors.New("snapshots were purged")

// Written is what the caller of WriteMark knows of the snapshots. The zero value knows nothing.
type Written struct {
	Messages int  // that there were at least, when it looked last
	Anew     bool // all were written since the last purge: what an older mark counts is no measure any more
}

// WriteMark stores a mark up to a position, if none that is there reaches further. It returns how many messages the snapshots are, which
// its caller knows from now on. Errors: ErrPurged, ErrConflict, ErrSkipped, ErrAway.
func (l *Log) WriteMark(ctx context.Context, position uint64, known Written) (int, error) {
	messages := known.Messages
	if err := l.skipped.whole(); err != nil {
		return messages, fmt.Errorf("write the mark of the snapshots: %w", err)
	}
	stand, err := l.Stand(ctx)
	if err != nil {
		return messages, err
	}
	was, err := l.readMark(ctx)
	if err != nil {
		return messages, err
	}
	there, err := l.countSnapshots(ctx, was)
	if err != nil {
		return messages, err
	}
	m := Mark{Version: markVersion, Position: position, Messages: there, Created: stand.Created, Clock: stand.Clock, seq: was.seq}
	if was.seq == 0 && messages > 0 { // it went with them, and what is there now may be of other rooms
		return 0, fmt.Errorf("write the mark of the snapshots: %w: there is no mark any more", ErrPurged)
	}
	if there < messages {
		return there, fmt.Errorf("write the mark of the snapshots: %w: there are %d messages, there were %d", ErrPurged, there, messages)
	}
	if lower := known.Anew && there < was.Messages; was.Created.Equal(m.Created) && !lower {
		if was.Position > position {
			return there, nil
		}
		m.Messages = max(there, was.Messages)
	}
	if m.Clock.Since.IsZero() {
		m.Clock.Since = stand.Now
		if was.Clock.Server == m.Clock.Server && m.Clock.Server != "" {
			m.Clock.Since = was.Clock.Since
		}
	}
	if m == was {
		return there, nil
	}
	body, err := json.Marshal(m)
	if err != nil {
		return there, fmt.Errorf("write the mark of the snapshots: %w", err)
	}
	if _, err = l.bus.JetStream().Publish(ctx, subject.SnapshotMark(l.region), body,
		jetstream.WithExpectLastSequencePerSubject(was.seq), jetstream.WithRetryAttempts(0)); err != nil {
		return messages, fmt.Errorf("write the mark of the snapshots: %w", classify(err))
	}
	return there, nil
}

// countSnapshots is how many messages the snapshots consist of. None ever goes but by a purge.
func (l *Log) countSnapshots(ctx context.Context, mark Mark) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	stream, err := l.bus.JetStream().Stream(ctx, subject.SnapshotStream(l.region))
	if err != nil {
		return 0, fmt.Errorf("count snapshots: %w: %w", ErrAway, err)
	}
	n := int(stream.CachedInfo().State.NumSubjects)
	if mark.seq != 0 {
		n--
	}
	return max(0, n), nil
}

// Taken is an event as the stream has it.
type Taken struct {
	Position uint64
	At       time.Time // by the clock of the server that led the stream then
}

// Newest gives the newest event of each session of a room that the replica which answers has: one that lags, or whose disk is damaged, has
// an older one, so whoever builds on it compares positions. Sessions without an event are left out. ErrAway (wrapped) where none answers.
func (l *Log) Newest(ctx context.Context, name string, sessions []string) (map[string]Taken, error) {
	newest := make(map[string]Taken, len(sessions))
	for some := range slices.Chunk(sessions, askedAtOnce) {
		subjects := make([]string, len(some))
		for i, session := range some {
			subjects[i] = subject.Event(l.region, name, "session", session)
		}
		messages, err := jetstreamext.GetLastMsgsFor(ctx, l.bus.JetStream(), subject.EventStream(l.region), subjects)
		if err != nil {
			return nil, fmt.Errorf("ask when events of %s were stored: %w: %w", name, ErrAway, err)
		}
		for msg, err := range messages {
			if errors.Is(err, jetstreamext.ErrNoMessages) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("ask when events of %s were stored: %w: %w", name, ErrAway, err)
			}
			newest[subject.Parse(msg.Subject).ID] = Taken{Position: msg.Sequence, At: msg.Time}
		}
	}
	return newest, nil
}
