// Package rest is the HTTP door of an edge: tokens, rooms, recordings, probes and the pages. openapi.json beside this file
// describes it and a test holds the two together.
//
// It decides who may ask for what and turns HTTP into appends to the event log and questions to presence and the recorder. It
// keeps nothing: any edge gives the same answers. Sockets are the edge's own; they pass here only for the checks of a handshake.
package rest

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/eventlog"
)

// Config of the door.
type Config struct {
	Listen string     // host:port that the edge listens on; on a loopback address only loopback Hosts and Hosts are answered
	Keys   *auth.Keys // that sign and check tokens

	// DevTokens gives a token to any caller on this machine. The caller is taken for one only if its address, Host and Origin are
	// loopback and no proxy has left its headers.
	DevTokens bool

	Hosts   []string // names under which this edge is reached, without port; none: any name, but on loopback
	Origins []string // "https://app.example.com": pages of other origins that may use the API and the socket

	HandshakesPerSecond int           // of sockets and tokens, over all callers; default 500, bursts of twice as many
	Follows             int           // event streams at once; default 200
	Patience            time.Duration // for an answer of the log, presence or the recorder; default 5 s
}

// Deps are what the door leans on.
type Deps struct {
	Bus     *bus.Bus
	Log     *eventlog.Log
	Logger  *slog.Logger
	Ready   func() error    // nil where the edge serves, else why not, in words for an operator
	Metrics http.Handler    // /metrics, for callers on this machine
	Socket  http.Handler    // GET /v1/ws, after its handshake and Origin are found good; nil: 404
	Pages   fs.FS           // the bundle, index.html at its root
	Stop    <-chan struct{} // closed when the edge drains: event streams end then; nil: never
}

func (c Config) withDefaults() Config {
	if c.HandshakesPerSecond == 0 {
		c.HandshakesPerSecond = 500
	}
	if c.Follows == 0 {
		c.Follows = 200
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Second
	}
	return c
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.Keys == nil {
		problems = append(problems, errors.New("no key to check tokens with: give --key FILE"))
	}
	if c.DevTokens && c.Keys != nil && !c.Keys.CanMint() {
		problems = append(problems, errors.New("dev tokens need a private key to sign with: give --key the private file, not the .pub one"))
	}
	for _, host := range c.Hosts {
		if host == "" || strings.ContainsAny(host, ":/@ ") || host != strings.ToLower(host) {
			problems = append(problems, fmt.Errorf("host %.100q: give a lower-case name without scheme and port", host))
		}
	}
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.Scheme+"://"+strings.ToLower(u.Host) != origin {
			problems = append(problems, fmt.Errorf("origin %.200q: give it as a browser sends it, like https://app.example.com", origin))
		}
	}
	if c.HandshakesPerSecond < 0 || c.Follows < 0 || c.Patience < 0 {
		problems = append(problems, errors.New("handshakes per second, follows and patience must not be negative"))
	}
	return errors.Join(problems...)
}
