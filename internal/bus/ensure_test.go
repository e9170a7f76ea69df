package bus

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
)

// cluster is some servers, of which none has been started.
type cluster struct {
	t       *testing.T
	opts    []*server.Options
	running map[int]*server.Server
}

func newCluster(t *testing.T, servers int) *cluster {
	t.Helper()
	c := &cluster{t: t, running: map[int]*server.Server{}}
	var routes []*url.URL
	for i := range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		routes = append(routes, &url.URL{Scheme: "nats", Host: l.Addr().String()})
		c.opts = append(c.opts, &server.Options{
			ServerName: fmt.Sprintf("n%d", i+1), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
		})
	}
	for _, o := range c.opts {
		o.Routes = routes
	}
	return c
}

// startAll starts all servers and connects to the first.
func (c *cluster) startAll() *Bus {
	c.t.Helper()
	b := dial(c.t, Config{URL: c.start(0)})
	for i := 1; i < len(c.opts); i++ {
		c.start(i)
	}
	return b
}

// start starts one server and gives its URL.
func (c *cluster) start(i int) string {
	c.t.Helper()
	s, err := server.NewServer(c.opts[i])
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	c.running[i] = s
	c.t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		c.t.Fatal("a server of the cluster does not start")
	}
	return s.ClientURL()
}

// said keeps what is logged.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// A service that comes up with the first server of a cluster waits for the others: streams it made with one replica would stay so.
func TestAFormingClusterGetsThreeReplicas(t *testing.T) {
	c := newCluster(t, 3)
	b := dial(t, Config{URL: c.start(0)})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made := make(chan error, 1)
	go func() { made <- b.EnsureStreams(ctx, Streams{Region: "eu"}) }()
	c.start(1)
	c.start(2)
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"EV_eu", "LOG_eu", "SNAP_eu"} {
		stream, err := b.JetStream().Stream(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got := stream.CachedInfo().Config.Replicas; got != 3 {
			t.Errorf("%s has %d replicas", name, got)
		}
	}
}

// Where there will never be a third server, the error says how to do with fewer replicas.
func TestAClusterOfTwoIsToldHowToDoWithOneReplica(t *testing.T) {
	c := newCluster(t, 2)
	b := dial(t, Config{URL: c.start(0)})
	c.start(1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := b.EnsureStreams(ctx, Streams{Region: "one", Replicas: 1}); err != nil { // it has formed
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	err := b.EnsureStreams(short, Streams{Region: "eu"})
	if err == nil || !strings.Contains(err.Error(), "with 3 replicas") || !strings.Contains(err.Error(), "--replicas 1") {
		t.Errorf("it does not say what to do: %v", err)
	}
}

// A server alone has one replica of each, and what somebody else made is left as it is, but not in silence.
func TestAStreamThatIsOtherwiseIsTold(t *testing.T) {
	s := embed(t)
	var log said
	admin, err := Connect(t.Context(), s.Config(Admin), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	for range 2 {
		if err := admin.EnsureStreams(t.Context(), Streams{Region: "local"}); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(log.String(), "WARN") {
		t.Errorf("its own streams are not as it would make them: %s", &log)
	}
	old := jetstream.StreamConfig{Name: "EV_old", Subjects: []string{"ev.old.>"}, Discard: jetstream.DiscardOld, Replicas: 1}
	if _, err := admin.JetStream().CreateStream(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	if err := admin.EnsureStreams(t.Context(), Streams{Region: "old", Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"level=WARN", "EV_old", "DiscardOld", "republishes nothing"} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("it does not say %q: %s", words, &log)
		}
	}
	if strings.Contains(log.String(), "LOG_old") || strings.Contains(log.String(), "replicas,") {
		t.Errorf("it says too much: %s", &log)
	}
}
