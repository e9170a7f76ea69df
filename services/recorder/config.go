package recorder

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// Config of a recorder. Zero values mean the defaults.
type Config struct {
	Region string
	Key    ed25519.PrivateKey // signs manifests; nil: they are not signed

	Writers    int           // segments written at the same time (8); when all are busy, reading waits
	Renders    int           // tracks made into .opus at the same time (2)
	Gather     time.Duration // how long it gathers packs before it folds them (100 ms)
	Checkpoint time.Duration // how often it stores how far it is (5 s)
	Live       time.Duration // how often the manifest of an open recording is rewritten (3 s)
	Grace      time.Duration // how long after a track's end it waits for frames that are missing (5 s)
	Retry      time.Duration // longest pause before the blob store or the log is asked again (5 s)
	Stall      time.Duration // how long the blob store may let an attempt wait without getting on before it is made anew (1 min)
	Drain      time.Duration // how long it may take to finish what is in hand at the end (20 s)
}

func (c Config) withDefaults() Config {
	for _, n := range []struct {
		field *int
		value int
	}{{&c.Writers, 8}, {&c.Renders, 2}} {
		if *n.field == 0 {
			*n.field = n.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Gather, 100 * time.Millisecond}, {&c.Checkpoint, 5 * time.Second}, {&c.Live, 3 * time.Second},
		{&c.Grace, room.Grace}, {&c.Retry, 5 * time.Second}, {&c.Stall, time.Minute}, {&c.Drain, 20 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// Validate reports every problem at once. It judges the config with its defaults filled in.
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	if err := subject.Region(c.Region); err != nil {
		problems = append(problems, err)
	}
	if c.Key != nil && len(c.Key) != ed25519.PrivateKeySize {
		problems = append(problems, fmt.Errorf("recorder key of %d bytes: must be an Ed25519 private key", len(c.Key)))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"writers", c.Writers}, {"renders", c.Renders}} {
		if n.value < 1 || n.value > 256 {
			problems = append(problems, fmt.Errorf("recorder %s %d: must be 1–256", n.name, n.value))
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"gather", c.Gather}, {"checkpoint", c.Checkpoint}, {"live", c.Live}, {"grace", c.Grace}, {"retry", c.Retry}, {"stall", c.Stall}, {"drain", c.Drain}} {
		if d.value < 0 {
			problems = append(problems, fmt.Errorf("recorder %s %v: must not be negative", d.name, d.value))
		}
	}
	return errors.Join(problems...)
}
