package bus

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var silent = slog.New(slog.DiscardHandler)

func embed(t *testing.T) *Server {
	t.Helper()
	s, err := Embed(EmbedConfig{Dir: t.TempDir(), Region: "local"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dial(t *testing.T, cfg Config) *Bus {
	t.Helper()
	b, err := Connect(t.Context(), cfg, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func TestConnectSaysWhatToDo(t *testing.T) {
	s, err := Embed(EmbedConfig{Dir: t.TempDir(), Listen: "127.0.0.1:0"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.ClientURL(), "nats://")
	for _, c := range []struct{ name, url, want string }{
		{"nobody there", "nats://127.0.0.1:1", "nobody answers"},
		{"wrong password", "nats://edge:secret@" + host, "refuses this user"},
		{"no user", "nats://" + host, "refuses this user"},
	} {
		_, err := Connect(t.Context(), Config{URL: c.url, Wait: 300 * time.Millisecond}, silent)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", c.name, err)
		}
	}
}

// A proxy takes connections also while there is no server behind it: that ends, and must not end a service that is just starting.
func TestConnectWaitsForWhoeverDropsConnections(t *testing.T) {
	s, err := Embed(EmbedConfig{Dir: t.TempDir(), Region: "local", Listen: "127.0.0.1:0"}, silent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	cfg := s.Config(Edge)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var proxy sync.WaitGroup
	defer proxy.Wait()
	defer l.Close()
	proxy.Go(func() {
		for dropped := 0; ; {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if dropped++; dropped <= 3 {
				near.Close()
				continue
			}
			proxy.Go(func() { join(near, strings.TrimPrefix(s.ClientURL(), "nats://")) })
		}
	})
	b, err := Connect(t.Context(), Config{URL: "nats://" + l.Addr().String(), User: cfg.User, Password: cfg.Password, Wait: 10 * time.Second}, silent)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// join copies between a connection and an address until either ends.
func join(near net.Conn, to string) {
	defer near.Close()
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer far.Close()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

func TestEmbedSaysWhatToDo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Embed(EmbedConfig{Dir: filepath.Join(file, "nats")}, silent); err == nil || !strings.Contains(err.Error(), "writable") {
		t.Errorf("a folder below a file: %v", err)
	}
	if _, err := Embed(EmbedConfig{Dir: t.TempDir(), Listen: "nowhere"}, silent); err == nil {
		t.Error("a listen address without a port was taken")
	}
}

func TestStreamsAreMadeOnceAndByAdminOnly(t *testing.T) {
	s := embed(t)
	edge := dial(t, s.Config(Edge))
	short, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if err := edge.EnsureStreams(short, Streams{Region: "local"}); err == nil || !strings.Contains(err.Error(), "airloom log init") {
		t.Fatalf("an edge on an empty NATS: %v", err)
	}
	admin := dial(t, s.Config(Admin))
	for range 2 {
		if err := admin.EnsureStreams(t.Context(), Streams{Region: "local", LogAge: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if err := edge.EnsureStreams(t.Context(), Streams{Region: "local"}); err != nil {
		t.Fatalf("an edge where the streams are: %v", err)
	}
	stream, err := admin.JetStream().Stream(t.Context(), "LOG_local")
	if err != nil {
		t.Fatal(err)
	}
	cfg := stream.CachedInfo().Config
	if cfg.MaxAge != time.Hour || cfg.Discard != jetstream.DiscardNew || !cfg.DenyDelete || !cfg.DenyPurge || cfg.Storage != jetstream.FileStorage {
		t.Errorf("the audio log is %+v", cfg)
	}
}

// What each role may do is small, and what is not listed is refused.
func TestRolesAreApart(t *testing.T) {
	s := embed(t)
	for _, c := range []struct {
		role      Role
		publish   string
		subscribe string
		may       bool
	}{
		{Edge, "live.eu.1.hall.t", "live.*.1.hall.>", true},
		{Edge, "ev.eu.1.hall.session.s", "_INBOX_edge.x", true},
		{Edge, "$JS.API.STREAM.DELETE.EV_eu", "_INBOX_recorder.x", false},
		{Edge, "$JS.API.STREAM.PURGE.LOG_eu", "svc.recorder.list", false},
		{Edge, "live.eu.1.hall.ev.session.s", "hb.eu.*", false},
		{Edge, "$JS.API.DIRECT.GET.EV_local", "live.*.1.hall.ev.>", true},
		{Edge, "$JS.API.CONSUMER.CREATE.LOG_local.x", "log.>", false},
		{Edge, "$JS.API.CONSUMER.CREATE.EV_local.c", "ev.>", false},
		{Presence, "ev.eu.1.hall.session.s", "hb.eu.*", true},
		{Presence, "$JS.API.CONSUMER.CREATE.EV_local.c", "svc.presence.rooms", true},
		{Presence, "$JS.API.CONSUMER.CREATE.LOG_local.c", "log.>", false},
		{Presence, "$JS.API.DIRECT.GET.LOG_local", "svc.recorder.list", false},
		{Presence, "$JS.API.STREAM.MSG.GET.LOG_local", "_INBOX_recorder.x", false},
		{Presence, "live.eu.1.hall.t", "live.eu.1.hall.t", false},
		{Presence, "ev.eu.1.hall.recording.current", "log.>", false},
		{Presence, "snap.eu.1.hall", "live.*.1.hall.ev.>", true},
		{Presence, "$JS.API.STREAM.PURGE.SNAP_local", "snap.>", false},
		{Edge, "$JS.API.DIRECT.GET.SNAP_local", "live.*.1.hall.ev.>", true},
		{Edge, "snap.eu.1.hall", "snap.>", false},
		{Recorder, "snap.eu.1.hall", "snap.>", false},
		{Recorder, "ev.eu.1.hall.gap.t", "svc.recorder.list", true},
		{Recorder, "$JS.API.CONSUMER.MSG.NEXT.LOG_local.c", "svc.recorder.get", true},
		{Recorder, "$JS.API.CONSUMER.CREATE.LOG_eu.c", "log.>", false},
		{Recorder, "ev.eu.1.hall.session.s", "live.eu.1.hall.t", false},
		{Recorder, "log.eu.1.hall.t", "hb.>", false},
		{Admin, "live.eu.1.hall.t", "live.>", false},
	} {
		denied := make(chan error, 4)
		b := dial(t, s.Config(c.role))
		b.Conn().SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denied <- err })
		if err := b.Conn().Publish(c.publish, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Conn().SubscribeSync(c.subscribe); err != nil {
			t.Fatal(err)
		}
		if err := b.Conn().Flush(); err != nil {
			t.Fatal(err)
		}
		refusals := 0
		for wait := true; wait; {
			select {
			case err := <-denied:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Errorf("%s: %v", c.role, err)
				}
				refusals++
				wait = refusals < 2
			case <-time.After(200 * time.Millisecond):
				wait = false
			}
		}
		if want := map[bool]int{true: 0, false: 2}[c.may]; refusals != want {
			t.Errorf("%s: publish %s, subscribe %s: %d refusals, want %d", c.role, c.publish, c.subscribe, refusals, want)
		}
	}
}

// The rendered block is what nats-server reads, and says the same as the embedded server's users.
func TestAuthorizationConf(t *testing.T) {
	for _, role := range Roles {
		t.Setenv(strings.ToUpper(string(role))+"_PASSWORD", "pass-"+string(role))
	}
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(AuthorizationConf("eu")), 0o600); err != nil {
		t.Fatal(err)
	}
	opts, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(opts.Users) != len(Roles) {
		t.Fatalf("%d users, want %d", len(opts.Users), len(Roles))
	}
	for _, user := range opts.Users {
		p := PermissionsOf(Role(user.Username), "eu")
		if user.Password != "pass-"+user.Username {
			t.Errorf("password of %s is %q", user.Username, user.Password)
		}
		if !slices.Equal(user.Permissions.Publish.Allow, p.Publish) || !slices.Equal(user.Permissions.Subscribe.Allow, p.Subscribe) {
			t.Errorf("permissions of %s: %+v %+v", user.Username, user.Permissions.Publish, user.Permissions.Subscribe)
		}
		if (user.Permissions.Response != nil) != p.Respond {
			t.Errorf("%s may respond: %v", user.Username, user.Permissions.Response)
		}
	}
}
