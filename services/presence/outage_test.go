package presence

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
)

// startNATS starts a server without users, which comes back on the same port with the same store.
func startNATS(t *testing.T, dir string, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("NATS is not ready")
	}
	return s
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// Row 82 of the catalogue: NATS goes away for longer than an edge may be silent, and comes back.
func TestAnOutageOfNATSKillsNobody(t *testing.T) {
	dir := t.TempDir()
	nats := startNATS(t, dir, server.RANDOM_PORT)
	url, port := nats.ClientURL(), nats.Addr().(*net.TCPAddr).Port
	connect := func(role bus.Role) *bus.Bus {
		b, err := bus.Connect(t.Context(), bus.Config{URL: url, Role: role, Name: string(role)}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	edge, own := connect(bus.Edge), connect(bus.Presence)
	if err := edge.EnsureStreams(t.Context(), bus.Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	r := &region{t: t, edge: edge, log: eventlog.New(edge, "eu", "edge-test", defaults, quiet)}
	r.join("hall", "s1", "e1")
	cfg := quick("p1")
	s, err := New(cfg, own, eventlog.New(own, "eu", "p1", defaults, quiet), quiet)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s)
	until(t, 10*time.Second, "ready", s.Ready)
	r.beat("e1")

	stopNATS(nats)
	until(t, 10*time.Second, "deaf for longer than an edge may be silent", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Since(s.watch.listened) > 2*cfg.Silence
	})
	nats = startNATS(t, dir, port)
	t.Cleanup(func() { stopNATS(nats) })
	until(t, 10*time.Second, "edge connected again", edge.Up)
	kill := r.beating("e1", 50*time.Millisecond)
	until(t, 10*time.Second, "hearing again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return time.Since(s.watch.floor) > 2*cfg.Silence && time.Since(s.watch.listened) < cfg.Deaf
	})
	at := r.join("hall", "s2", "e1")
	until(t, 10*time.Second, "following the log again", func() bool { return s.position() >= at })
	if answer := r.roster(t, "hall"); len(answer.Participants) != 2 || len(answer.Away) != 0 {
		t.Errorf("after the outage: %+v", answer)
	}
	kill()
	until(t, 10*time.Second, "able to reap", func() bool { return len(r.roster(t, "hall").Participants) == 0 })
}
