// Package room is the domain: what a room is, the events that make it, and two pure functions over them: Apply folds an
// event into a State, and the Decide functions (Join, Leave, StartTrack, ...) say which event follows from a wish.
//
// It knows no clock, no network, no goroutine and no logger. docs/events.md holds the wire form of every event.
package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Version is the version of the event envelope.
const Version = 1

// ErrUnknownType is returned where an event is of a type, or a version, that this build does not know: see Unknown.
var ErrUnknownType = errors.New("unknown event type")

// Fact is what an event says. Each type is a struct in facts.go with one row in the table there.
type Fact interface {
	// Type is the event's type on the wire, as "session.joined".
	Type() string
	// Subject gives the kind and id tokens of the subject on which the fact is appended.
	Subject() (kind, id string)

	apply(s *State, e *Event)
}

// Event is a fact with its envelope.
type Event struct {
	Room        string
	At          time.Time // the writer's clock, UTC
	By          string    // the incarnation that wrote it
	Traceparent string    // W3C trace context of its cause, or ""
	Fact        Fact

	Position uint64 // its sequence in the event stream; 0 until it was appended
}

type envelope struct {
	Type        string          `json:"type"`
	Version     int             `json:"v"`
	Room        string          `json:"room"`
	At          time.Time       `json:"at"`
	By          string          `json:"by"`
	Traceparent string          `json:"traceparent,omitempty"`
	Data        json.RawMessage `json:"data"`
	Position    uint64          `json:"position,omitempty"`
}

// MarshalJSON gives the wire form of docs/events.md; position is left out while it is 0.
func (e Event) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(e.Fact)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Fact.Type(), err)
	}
	version := Version
	if unknown, ok := e.Fact.(Unknown); ok {
		version = unknown.Version
	}
	return json.Marshal(envelope{
		Type: e.Fact.Type(), Version: version, Room: e.Room, At: e.At.UTC(), By: e.By,
		Traceparent: e.Traceparent, Data: data, Position: e.Position,
	})
}

// UnmarshalJSON reads the wire form. Where the type is none of ours the event's fact is an Unknown without its subject, and the
// error wraps ErrUnknownType.
func (e *Event) UnmarshalJSON(b []byte) error {
	var env envelope
	if err := json.Unmarshal(b, &env); err != nil {
		return fmt.Errorf("decode event: %w", err)
	}
	*e = Event{Room: env.Room, At: env.At.UTC(), By: env.By, Traceparent: env.Traceparent, Position: env.Position}
	e.Fact = Unknown{Name: env.Type, Version: env.Version, Data: env.Data}
	if env.Version != Version {
		return fmt.Errorf("decode %.80q: version %d: %w", env.Type, env.Version, ErrUnknownType)
	}
	decode, known := facts[env.Type]
	if !known {
		return fmt.Errorf("decode %.80q: %w", env.Type, ErrUnknownType)
	}
	fact, err := decode(env.Data)
	if err != nil {
		return fmt.Errorf("decode %s: %w", env.Type, err)
	}
	e.Fact = fact
	return nil
}

// Public is the event as participants may see it: without resume hashes, and without data that may hold them.
func (e Event) Public() Event {
	switch fact := e.Fact.(type) {
	case Joined:
		fact.ResumeHash = ""
		e.Fact = fact
	case Unknown:
		fact.Data = nil
		e.Fact = fact
	}
	return e
}
