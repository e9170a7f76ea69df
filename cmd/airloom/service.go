package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

// natsFlags are how a service reaches NATS and what it expects of the log there.
type natsFlags struct {
	NATS         string        `name:"nats" required:"" help:"URL of NATS, or several with commas; may hold user and password."`
	NATSUser     string        `name:"nats-user" help:"NATS user, instead of one in the URL."`
	NATSPassword string        `name:"nats-password" help:"Its password."`
	NATSCreds    string        `name:"nats-creds" help:"A .creds file, instead of user and password."`
	NATSWait     time.Duration `name:"nats-wait" default:"5s" help:"How long to wait for NATS and its streams at the start."`
	Region       string        `default:"local" help:"Name of this region."`
	Replicas     int           `enum:"0,1,3,5" default:"0" help:"Replicas of streams that are not there yet; 0: 3 in a cluster, else 1."`
	LogAge       time.Duration `name:"log-age" default:"72h" help:"How long the audio log keeps sound, for streams not there yet."`
}

// serviceFlags are what every service has.
type serviceFlags struct {
	Health   string `placeholder:"HOST:PORT" help:"Serve /healthz, /readyz and /metrics here, too."`
	LogLevel string `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"How much to log on stderr: debug, info, warn or error."`
}

// keepFlag is apart from serviceFlags because its default is another one in `up`.
type keepFlag struct {
	Keep string `enum:"none,rewind,record" default:"rewind" help:"What is kept of rooms that nobody has set: none, rewind or record. Give all services the same."`
}

// defaultSettings are those of rooms that nobody has set.
func defaultSettings(keep string) room.Settings {
	return room.Settings{Keep: room.Keep(keep), Speak: room.SpeakGranted}
}

func (f serviceFlags) logger(p *program) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel)) // the grammar has checked it
	return slog.New(telemetry.LogHandler(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: level})))
}

// connect connects with a role and makes sure that the log's streams are there.
func (f natsFlags) connect(ctx context.Context, role bus.Role, logger *slog.Logger) (*bus.Bus, error) {
	b, err := bus.Connect(ctx, bus.Config{
		URL: f.NATS, User: f.NATSUser, Password: f.NATSPassword, Creds: f.NATSCreds,
		Name: "airloom-" + string(role), Role: role, Wait: f.NATSWait,
	}, logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, f.NATSWait+5*time.Second)
	defer cancel()
	if err := b.EnsureStreams(ctx, bus.Streams{Region: f.Region, Replicas: f.Replicas, LogAge: f.LogAge}); err != nil {
		b.Close()
		return nil, hint(err, "") // it says what to do itself; the advice for deadlines is about edges
	}
	return b, nil
}

// process is what is set up once for all services of a process.
type process struct {
	logger  *slog.Logger
	metrics http.Handler
	stop    func(context.Context) error
}

func (p *program) process(f serviceFlags, name string) (*process, error) {
	logger := f.logger(p)
	slog.SetDefault(logger)
	host, _ := os.Hostname()
	stop, metrics, err := telemetry.Setup(p.ctx, telemetry.Config{
		Service: "airloom-" + name, Version: versionString(), Instance: fmt.Sprintf("%s-%d", host, os.Getpid()),
	})
	if err != nil {
		return nil, fmt.Errorf("set up telemetry: %w", err)
	}
	return &process{logger: logger, metrics: metrics, stop: stop}, nil
}

// close sends what telemetry still holds.
func (p *process) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := p.stop(ctx); err != nil {
		p.logger.Warn("telemetry was not sent to its end", "error", err)
	}
}

// listen opens a port; its errors say what to do.
func listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	if strings.Contains(err.Error(), "address already in use") {
		return nil, hint(fmt.Errorf("listen on %s: the port is in use", addr),
			"Stop what listens there, or choose another one: --listen 127.0.0.1:8081.")
	}
	return nil, hint(fmt.Errorf("listen on %s: %w", addr, err), "Give an address of this machine: --listen 127.0.0.1:8080.")
}

// health serves the probes of a service on a port of their own; with an empty address it serves nothing.
func health(ctx context.Context, addr string, proc *process, ready func() error) error {
	if addr == "" {
		<-ctx.Done()
		return nil
	}
	l, err := listen(addr)
	if err != nil {
		return err
	}
	return serveHTTP(ctx, l, &http.Server{Handler: probes(proc.metrics, ready), ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 8 << 10})
}

// serveHTTP serves until ctx ends, then lets what is under way finish for two seconds.
func serveHTTP(ctx context.Context, l net.Listener, server *http.Server) error {
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return server.Close()
	}
	return nil
}

// together runs parts until one fails or ctx ends.
func together(ctx context.Context, parts ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, part := range parts {
		group.Go(func() error { return part(ctx) })
	}
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

func loadKeys(paths []string, cluster string) (*auth.Keys, error) {
	keys, err := auth.LoadKeys(paths...)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(err, "Give --key the file of a key; `airloom key FILE` makes a pair.")
	}
	if err != nil {
		return nil, fmt.Errorf("load keys: %w", err)
	}
	keys.Cluster = cluster
	return keys, nil
}
