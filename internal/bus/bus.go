// Package bus is NATS as airloom uses it: a connection with the settings that live sound needs, an embedded server
// for `airloom up`, the users with their permissions, and the streams of the log.
//
// It moves bytes between subjects and knows nothing of rooms, packets or events.
package bus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says how a service reaches NATS.
type Config struct {
	URL      string        // one or more, comma separated; may hold user and password
	User     string        // overrides what URL says
	Password string        //
	Creds    string        // path of a .creds file (JWT and seed)
	Name     string        // connection name, shown by NATS monitoring
	Role     Role          // chooses the inbox prefix that the role's permissions allow
	Wait     time.Duration // how long to go on trying at the start; default 5 s

	inProcess nats.InProcessConnProvider
}

// Bus is a connection to NATS. It reconnects for ever and never buffers while it is away: live sound must not
// arrive late, and what must not be lost waits in its owner's outbox.
type Bus struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	role   Role
	logger *slog.Logger
	up     atomic.Bool // what watch saw last
}

// ErrAway is returned by Publish and PublishMsg while there is no connection.
var ErrAway = errors.New("NATS is away")

// Connect connects, trying for cfg.Wait while nobody answers. Its errors say what to do about them.
func Connect(ctx context.Context, cfg Config, logger *slog.Logger) (*Bus, error) {
	if cfg.Wait <= 0 {
		cfg.Wait = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Wait)
	defer cancel()
	for {
		conn, err := nats.Connect(cfg.URL, options(cfg, logger)...)
		if err == nil {
			js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(2*time.Second))
			if err != nil {
				conn.Close()
				return nil, fmt.Errorf("open JetStream: %w", err)
			}
			b := &Bus{conn: conn, js: js, role: cfg.Role, logger: logger}
			b.watch()
			return b, nil
		}
		if !errors.Is(err, nats.ErrNoServers) && !errors.Is(err, nats.ErrTimeout) && !nameless(err) && !cut(err) {
			return nil, explain(cfg, err)
		}
		select {
		case <-ctx.Done():
			return nil, explain(cfg, err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// cut says that somebody took the connection and dropped it: a server that is just coming up or going down, or a proxy that has none behind it.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// nameless says that a name has no address (yet: an orchestrator gives it one when the servers come up).
func nameless(err error) bool {
	var lookup *net.DNSError
	return errors.As(err, &lookup)
}

func explain(cfg Config, err error) error {
	where := redact(cfg.URL)
	switch {
	case nameless(err):
		return fmt.Errorf("connect to NATS at %s: this name has no address: mend --nats: %w", where, err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return fmt.Errorf("connect to NATS at %s: it refuses this user: check user and password in the URL or --nats-creds: %w", where, err)
	case cut(err):
		return fmt.Errorf("connect to NATS at %s: it takes connections and drops them: look at its log, or at the proxy before it: %w", where, err)
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("connect to NATS at %s: nobody answers there: start nats-server with JetStream (-js), or mend --nats: %w", where, err)
	default:
		return fmt.Errorf("connect to NATS at %s: %w", where, err)
	}
}

// redact takes passwords out of a list of URLs.
func redact(urls string) string {
	parts := strings.Split(urls, ",")
	for i, part := range parts {
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil {
			parts[i] = u.Redacted()
		}
	}
	return strings.Join(parts, ",")
}

func options(cfg Config, logger *slog.Logger) []nats.Option {
	opts := []nats.Option{
		nats.Name(cfg.Name),
		nats.CustomInboxPrefix(cfg.Role.InboxPrefix()),
		// A frozen server is left after 1 to 1.5 s. The default (2 min x 2) loses a listener for minutes.
		nats.PingInterval(500 * time.Millisecond), nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1), nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.Timeout(2 * time.Second),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				logger.Warn("NATS connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { logger.Info("NATS connection is back", "server", c.ConnectedServerName()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			// A denied publish shows up only here: to its caller it looks like a timeout.
			if sub != nil {
				logger.Error("NATS error", "error", err, "subject", sub.Subject)
				return
			}
			logger.Error("NATS error", "error", err)
		}),
	}
	if cfg.User != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	if cfg.Creds != "" {
		opts = append(opts, nats.UserCredentials(cfg.Creds))
	}
	if cfg.inProcess != nil {
		opts = append(opts, nats.InProcessServer(cfg.inProcess))
	}
	return opts
}

// Conn is the core connection.
func (b *Bus) Conn() *nats.Conn { return b.conn }

// JetStream is the log's API.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// watch keeps up true. While nats.go looks for another server it holds the connection's lock through each attempt, up to 2 s, and
// every call on the connection waits for it; Up does not.
func (b *Bus) watch() {
	b.up.Store(true)
	changes := b.conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	if !b.conn.IsConnected() {
		b.up.Store(false)
	}
	go func() {
		for status := range changes {
			b.up.Store(status == nats.CONNECTED)
			if status == nats.CLOSED {
				return
			}
		}
	}()
}

// Up says whether the connection is there at the moment. It never waits.
func (b *Bus) Up() bool { return b.up.Load() }

// Publish sends data now or, with ErrAway, not at all: sound that waits for a connection would be late.
func (b *Bus) Publish(subject string, data []byte) error {
	if !b.Up() {
		return ErrAway
	}
	return b.conn.Publish(subject, data)
}

// PublishMsg is Publish with a reply subject and headers.
func (b *Bus) PublishMsg(msg *nats.Msg) error {
	if !b.Up() {
		return ErrAway
	}
	return b.conn.PublishMsg(msg)
}

// Drain finishes what was received and sent, then closes; it waits at most until ctx ends.
func (b *Bus) Drain(ctx context.Context) error {
	closed := make(chan struct{})
	b.conn.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := b.conn.Drain(); err != nil {
		b.conn.Close()
		return fmt.Errorf("drain NATS connection: %w", err)
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		b.conn.Close()
		return fmt.Errorf("drain NATS connection: %w", ctx.Err())
	}
}

// Close closes at once.
func (b *Bus) Close() { b.conn.Close() }
