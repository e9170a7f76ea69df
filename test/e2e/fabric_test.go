package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
)

// fabric is one installation whose services are processes of their own.
type fabric struct {
	t     *testing.T
	nats  string // URLs
	key   string // private key file
	blob  string // folder of recordings
	users bool   // each service has a NATS user of its own
	env   []string
}

// newFabric starts no service yet.
func newFabric(t *testing.T, nats string) *fabric {
	t.Helper()
	f := &fabric{t: t, nats: nats, key: filepath.Join(t.TempDir(), "key"), blob: t.TempDir()}
	f.cli("key", f.key).ok()
	return f
}

// service is a running service; url is an edge's door, health where others answer probes.
type service struct {
	*process
	url, health string
}

// start starts a service and waits until it is ready.
func (f *fabric) start(kind, nats string, args ...string) *service {
	f.t.Helper()
	s := &service{health: freeAddr(f.t)}
	all := append([]string{kind, "--nats", nats, "--health", s.health, "--log-level", "debug"}, args...)
	if f.users {
		all = append(all, "--nats-user", kind, "--nats-password", password(bus.Role(kind)))
	}
	s.process = start(f.t, kind, f.env, airloom, all...)
	s.url = s.ready(f.t)
	return s
}

// edge starts an edge with the private key, which gives tokens to callers of this machine.
func (f *fabric) edge(args ...string) *service { return f.edgeAt(f.nats, args...) }

func (f *fabric) edgeAt(nats string, args ...string) *service {
	f.t.Helper()
	return f.start("edge", nats, append([]string{"--listen", "127.0.0.1:0", "--key", f.key, "--dev-tokens", "--drain", "1s", "--keep", "record"}, args...)...)
}

func (f *fabric) presence() *service {
	f.t.Helper()
	return f.start("presence", f.nats, "--keep", "record")
}

func (f *fabric) recorder() *service {
	f.t.Helper()
	return f.start("recorder", f.nats, "--keep", "record", "--blob", f.blob)
}

// cli runs a subcommand to its end.
func (f *fabric) cli(args ...string) *result { f.t.Helper(); return run(f.t, f.env, args...) }

// token makes one for every room with all rights.
func (f *fabric) token(identity string) string {
	f.t.Helper()
	return mint(f.t, f.key, auth.Claims{Identity: identity, Room: auth.AnyRoom, Grants: auth.AllGrants()}, time.Hour)
}

func mint(t *testing.T, key string, claims auth.Claims, life time.Duration) string {
	t.Helper()
	keys, err := auth.LoadKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	token, err := keys.Mint(claims, life)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// files lists the files below a folder.
func files(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
