package room

import "encoding/json"

// Unknown stands for an event of a type, or a version, that this build does not know. It means nothing here, but its subject
// and the log have moved on by it: a fold that left it out would expect a position on that subject that never comes back.
type Unknown struct {
	Kind, ID string // tokens of the subject it was appended to
	Name     string // its type on the wire
	Version  int
	Data     json.RawMessage
}

// Type implements Fact.
func (f Unknown) Type() string { return f.Name }

// Subject implements Fact.
func (f Unknown) Subject() (string, string) { return f.Kind, f.ID }

// MarshalJSON gives the data as it came.
func (f Unknown) MarshalJSON() ([]byte, error) {
	if f.Data == nil {
		return []byte("null"), nil
	}
	return f.Data, nil
}

func (Unknown) apply(*State, *Event) {}
