package presence

import (
	"errors"
	"fmt"
	"time"

	"airloom/internal/subject"
)

// Config of a presence. Zero durations mean the defaults of docs/events.md; only tests have a reason for others.
type Config struct {
	Instance string // this process's incarnation, also the "by" of its events

	Silence time.Duration // an edge not heard for this long is dead (3 s)
	Resume  time.Duration // how long a session may be away before it has left (30 s)
	Tick    time.Duration // how often it looks what is due (100 ms)
	Listen  time.Duration // how often it makes sure that it hears the servers (500 ms)
	Deaf    time.Duration // without such proof for this long it judges nobody (1.5 s)
	Retry   time.Duration // pause before the same task is tried again (1 s)

	Snapshot    int           // a room's events after which its snapshot is written anew (500)
	SnapshotAge time.Duration // after which it is with fewer (2 min)
	markEvery   time.Duration // how often the mark of the snapshots is moved on (10 s)
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Silence, 3 * time.Second}, {&c.Resume, 30 * time.Second}, {&c.Tick, 100 * time.Millisecond},
		{&c.Listen, 500 * time.Millisecond}, {&c.Deaf, 1500 * time.Millisecond}, {&c.Retry, time.Second}, {&c.SnapshotAge, 2 * time.Minute}, {&c.markEvery, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.Snapshot == 0 {
		c.Snapshot = 500
	}
	return c
}

// Validate reports every problem at once. It judges the config with its defaults filled in.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	if err := subject.ID(c.Instance); err != nil {
		problems = append(problems, fmt.Errorf("presence instance: %w", err))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"silence", c.Silence}, {"resume", c.Resume}, {"tick", c.Tick}, {"listen", c.Listen}, {"deaf", c.Deaf}, {"retry", c.Retry}, {"snapshot age", c.SnapshotAge}} {
		if d.value <= 0 {
			problems = append(problems, fmt.Errorf("presence %s %v: must be longer than nothing", d.name, d.value))
		}
	}
	if c.Deaf <= c.Listen {
		problems = append(problems, fmt.Errorf("presence deaf %v: must be longer than listen %v, or it would judge nobody ever", c.Deaf, c.Listen))
	}
	if c.Snapshot < 0 {
		problems = append(problems, fmt.Errorf("presence snapshot %d: must be a number of events", c.Snapshot))
	}
	return errors.Join(problems...)
}
