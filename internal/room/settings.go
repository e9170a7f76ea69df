package room

import (
	"errors"
	"fmt"
)

// Keep says what of a room's sound is kept.
type Keep string

// Values of Keep.
const (
	KeepNone   Keep = "none"
	KeepRewind Keep = "rewind"
	KeepRecord Keep = "record"
)

// Settings of a room.
type Settings struct {
	Keep     Keep   `json:"keep"`
	Capacity int    `json:"capacity"` // sessions at once; 0: no bound
	Speak    string `json:"speak"`    // SpeakGranted or SpeakModerators
}

// Values of Settings.Speak.
const (
	SpeakGranted    = "granted"
	SpeakModerators = "moderators"
)

// Validate reports every setting that is out of range.
func (s Settings) Validate() error {
	var problems []error
	if s.Keep != KeepNone && s.Keep != KeepRewind && s.Keep != KeepRecord {
		problems = append(problems, fmt.Errorf("keep is %.40q: use none, rewind or record", s.Keep))
	}
	if s.Capacity < 0 || s.Capacity > MaxCapacity {
		problems = append(problems, fmt.Errorf("capacity is %d: use 0 (no bound) to %d", s.Capacity, MaxCapacity))
	}
	if s.Speak != SpeakGranted && s.Speak != SpeakModerators {
		problems = append(problems, fmt.Errorf("speak is %.40q: use granted or moderators", s.Speak))
	}
	return errors.Join(problems...)
}

// MaxCapacity is the highest capacity that can be set.
const MaxCapacity = 1_000_000
