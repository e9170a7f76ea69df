package bus

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbedConfig says how the embedded server runs.
type EmbedConfig struct {
	Dir    string // JetStream's folder
	Region string // whose streams its users may read; default "local"
	Listen string // "host:port" for other processes; "" (the default) opens no port
	// Lazy leaves fsync to the server's default (every two minutes). Only benchmarks that compare want it.
	Lazy bool
}

// Server is a nats-server with JetStream in this process. One user for each role, its password made at each start.
type Server struct {
	server    *server.Server
	passwords map[Role]string
}

// Embed starts a server on cfg.Dir and returns when it takes connections. Each message of a stream is fsynced
// before it is acked.
func Embed(cfg EmbedConfig, logger *slog.Logger) (*Server, error) {
	if cfg.Region == "" {
		cfg.Region = "local"
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil { // the server itself would only not become ready
		return nil, fmt.Errorf("start embedded NATS: its folder is not writable: %w", err)
	}
	s := &Server{passwords: map[Role]string{}}
	opts := &server.Options{
		ServerName: "airloom", JetStream: true, StoreDir: filepath.Clean(cfg.Dir),
		DontListen: true, NoSigs: true, NoLog: true,
		SyncAlways: !cfg.Lazy, SyncInterval: 2 * time.Minute,
		MaxPending: 8 << 20, WriteDeadline: 2 * time.Second, NoFastProducerStall: true,
		PingInterval: time.Second, MaxPingsOut: 2,
	}
	for _, role := range Roles {
		s.passwords[role] = rand.Text()
		opts.Users = append(opts.Users, &server.User{Username: string(role), Password: s.passwords[role], Permissions: serverPermissions(role, cfg.Region)})
	}
	if err := listen(opts, cfg.Listen); err != nil {
		return nil, err
	}
	var err error
	if s.server, err = server.NewServer(opts); err != nil {
		return nil, fmt.Errorf("start embedded NATS: %w", err)
	}
	s.server.SetLogger(serverLog{logger}, false, false)
	s.server.Start()
	if !s.server.ReadyForConnections(10 * time.Second) {
		s.Close()
		return nil, fmt.Errorf("start embedded NATS on %s: not ready after 10 s: is the folder writable, and is no other airloom using it?", cfg.Dir)
	}
	if !s.server.JetStreamEnabled() {
		s.Close()
		return nil, fmt.Errorf("start embedded NATS on %s: %w", cfg.Dir, errors.New("JetStream did not start: is the folder writable?"))
	}
	return s, nil
}

func serverPermissions(role Role, region string) *server.Permissions {
	p := PermissionsOf(role, region)
	perms := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: p.Publish},
		Subscribe: &server.SubjectPermission{Allow: p.Subscribe},
	}
	if p.Respond {
		perms.Response = &server.ResponsePermission{MaxMsgs: 1, Expires: 2 * time.Minute}
	}
	return perms
}

// Config is how a role connects to this server, in process.
func (s *Server) Config(role Role) Config {
	return Config{
		URL: s.ClientURL(), User: string(role), Password: s.passwords[role],
		Name: string(role), Role: role, inProcess: s.server,
	}
}

// ClientURL is where other processes connect, when the server listens.
func (s *Server) ClientURL() string { return s.server.ClientURL() }

// Close stops the server and waits until its files are closed.
func (s *Server) Close() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
