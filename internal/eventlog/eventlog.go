// Package eventlog keeps room events in JetStream: appended with an expected position, loaded, followed.
//
// It holds no state of any room; internal/room folds what it reads.
package eventlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

var (
	// ErrConflict says that the subject has moved on: load again, decide again.
	ErrConflict = errors.New("somebody else appended first")
	// ErrAway says that the log gave no answer: the event may or may not be there.
	ErrAway = errors.New("the event log does not answer")
)

// Log is a region's event log.
type Log struct {
	bus      *bus.Bus
	region   string
	by       string
	defaults room.Settings
	logger   *slog.Logger
	unknown  atomic.Int64

	restUntil  atomic.Int64 // ns since 1970: until then no snapshot is asked for
	answered   atomic.Bool  // somebody has answered for snapshots, so this user may read them
	passedOver atomic.Int64 // snapshots that could not be used
	holes      holes
	mending    atomic.Bool // following fills a hole
	skipped    skipped
	metrics    metrics
}

// New gives the log of a region. Events appended through it are written by "by"; rooms that nobody created have the
// defaults as settings.
func New(b *bus.Bus, region, by string, defaults room.Settings, logger *slog.Logger) *Log {
	return &Log{bus: b, region: region, by: by, defaults: defaults, logger: logger, metrics: newMetrics()}
}

// Region is the region whose events these are.
func (l *Log) Region() string { return l.region }

// Defaults are the settings of a room that nobody created.
func (l *Log) Defaults() room.Settings { return l.defaults }

// Unknown counts events that were passed over because their type is not known to this build.
func (l *Log) Unknown() int64 { return l.unknown.Load() }

// NewState is the state of a room without events.
func (l *Log) NewState(name string) *room.State { return room.NewState(name, l.defaults) }

// Header is the NATS header of W3C trace context; lower case, because nats.Header keys are case-sensitive.
const Header = "traceparent"

// Append appends the draft if its subject still is where the draft expects it, and returns the event's position.
// Errors: ErrConflict, ErrAway (wrapped). The trace context is taken from traceparent, which may be "".
func (l *Log) Append(ctx context.Context, name string, d room.Draft, traceparent string) (uint64, error) {
	if err := subject.Room(name); err != nil {
		return 0, fmt.Errorf("append %s: %w", d.Fact.Type(), err)
	}
	body, err := json.Marshal(room.Event{Room: name, At: time.Now(), By: l.by, Traceparent: traceparent, Fact: d.Fact})
	if err != nil {
		return 0, fmt.Errorf("append %s: %w", d.Fact.Type(), err)
	}
	kind, id := d.Fact.Subject()
	msg := &nats.Msg{Subject: subject.Event(l.region, name, kind, id), Data: body}
	if traceparent != "" {
		msg.Header = nats.Header{Header: []string{traceparent}}
	}
	ack, err := l.bus.JetStream().PublishMsg(ctx, msg,
		jetstream.WithExpectLastSequencePerSubject(d.Expect), jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, fmt.Errorf("append %s to %s: %w", d.Fact.Type(), name, classify(err))
	}
	return ack.Sequence, nil
}

// classify folds the refusals of a compare-and-append (two codes: 10071 with the sequence, 10164 while a write is in
// flight on a cluster) and the ways of not answering.
func classify(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		if api.ErrorCode == 10071 || api.ErrorCode == 10164 {
			return fmt.Errorf("%w (%s)", ErrConflict, api.Description)
		}
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}

// Decode reads an event from a message that the event stream stored or republished on a subject. One of a type this build does
// not know is counted and becomes a room.Unknown: it changes nothing, but it has its place in the order.
func (l *Log) Decode(on string, data []byte, position uint64) (*room.Event, error) {
	e := new(room.Event)
	err := json.Unmarshal(data, e)
	if errors.Is(err, room.ErrUnknownType) {
		err = l.passOver(e, on, position, err)
	}
	if err != nil {
		return nil, fmt.Errorf("event at %d: %w", position, err)
	}
	e.Position = position
	return e, nil
}

// passOver gives an event of unknown type the room and the subject it was appended to: its own words may mean anything.
func (l *Log) passOver(e *room.Event, on string, position uint64, why error) error {
	if l.unknown.Add(1) == 1 {
		l.logger.Warn("passing over an event of unknown type", "error", why, "position", position)
	}
	p := subject.Parse(on)
	fact, ok := e.Fact.(room.Unknown)
	if p.Kind != subject.Fact || !ok {
		return why
	}
	fact.Kind, fact.ID = p.Entity, p.ID
	e.Room, e.Fact = p.Room, fact
	return nil
}

// DecodeRepublished reads an event heard on a live subject, where the stream republished it.
func (l *Log) DecodeRepublished(msg *nats.Msg) (*room.Event, error) {
	position, err := strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("republished event on %s without a position: %w", msg.Subject, err)
	}
	return l.Decode(msg.Subject, msg.Data, position)
}
