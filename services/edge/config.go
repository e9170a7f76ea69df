package edge

import (
	"errors"
	"fmt"
	"net"
	"time"

	"airloom/internal/auth"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Config of an edge.
type Config struct {
	Listen   string // host:port of the HTTP and WebSocket door
	Region   string
	Keys     *auth.Keys // that sign tokens
	Cluster  string     // audience of tokens; "" is auth.DefaultCluster
	Defaults room.Settings
	Drain    time.Duration // how long sockets are given to move when the edge stops
	Version  string
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		problems = append(problems, fmt.Errorf("listen address %q: %w", c.Listen, err))
	}
	if err := subject.Region(c.Region); err != nil {
		problems = append(problems, err)
	}
	if c.Keys == nil {
		problems = append(problems, errors.New("no key to check tokens with: give --key FILE"))
	}
	if c.Drain < 0 {
		problems = append(problems, fmt.Errorf("drain time %v is negative", c.Drain))
	}
	if err := c.Defaults.Validate(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
