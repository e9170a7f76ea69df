package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"airloom/internal/auth"
	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/services/edge"
	"airloom/services/recorder"
	"airloom/web"
)

const (
	upRegion = "local"
	// readyPatience is for presence and recorder to read what was kept; a long log of theirs must not keep people out of rooms.
	readyPatience = 5 * time.Second
)

type upCmd struct {
	serviceFlags `embed:""`
	doorFlags    `embed:""`

	Keep   string `enum:"none,rewind,record" default:"record" help:"What is kept of rooms that nobody has set: none, rewind or record."`
	Listen string `default:"127.0.0.1:8080" help:"Where participants come in. On other than a loopback address an invite link is printed."`
	Data   string `type:"path" placeholder:"DIR" help:"Where rooms, recordings and the key are kept (default: $XDG_DATA_HOME/airloom)."`
	Blob   string `placeholder:"URL" help:"Where recordings go (default: a folder in --data)."`
}

// Help is shown by --help.
func (upCmd) Help() string {
	return "Everything in one process: NATS with its log on disk, edge, presence and recorder. What was kept is found again at the\n" +
		"next start.\n\nExample:\n  airloom up"
}

// Run serves until Ctrl-C, then drains and exits 0.
func (c *upCmd) Run(p *program) error {
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0))) // fsync holds a processor; live sound must find another one
	proc, err := p.process(c.serviceFlags, "up")
	if err != nil {
		return err
	}
	defer proc.close()
	dir, unlock, err := c.folder()
	if err != nil {
		return err
	}
	defer unlock()
	keys, err := upKey(filepath.Join(dir, "key"), c.Cluster)
	if err != nil {
		return err
	}
	l, err := listen(c.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	server, err := bus.Embed(bus.EmbedConfig{Dir: filepath.Join(dir, "nats"), Region: upRegion}, proc.logger)
	if err != nil {
		return err
	}
	defer server.Close()
	return c.serve(p, proc, server, keys, l, dir)
}

// folder makes the data folder and keeps others out of it.
func (c *upCmd) folder() (dir string, unlock func(), err error) {
	dir = c.Data
	if dir == "" {
		dir = filepath.Join(dataHome(), "airloom")
	}
	todo := "Choose another folder: --data DIR."
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, hint(fmt.Errorf("make data folder %s: %w", dir, err), todo)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, hint(fmt.Errorf("data folder %s cannot be written: %w", dir, err), todo)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return "", nil, hint(fmt.Errorf("data folder %s is in use by another airloom", dir), "Stop that one, or choose another folder: --data DIR.")
	}
	return dir, func() { lock.Close() }, nil
}

func dataHome() string {
	if dir := os.Getenv("XDG_DATA_HOME"); dir != "" {
		return dir
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "."
	}
	return filepath.Join(home, ".local", "share")
}

// upKey loads the key of this installation, making it at the first start.
func upKey(path, cluster string) (*auth.Keys, error) {
	if err := madeKey(path); err != nil {
		return nil, err
	}
	return loadKeys([]string{path}, cluster)
}

// madeKey makes a key pair where there is none.
func madeKey(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return nil // whatever else is wrong with it, loading tells
	}
	if _, err := auth.WriteKeyPair(path); err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	return nil
}

// openRecorder gives the recorder a key of its own, which stays with the data: what is recorded here can be proven wherever it goes.
func (c *upCmd) openRecorder(b *bus.Bus, store *blob.Store, dir string, proc *process) (*recorder.Recorder, error) {
	path := filepath.Join(dir, "recorder.key")
	if err := madeKey(path); err != nil {
		return nil, err
	}
	key, err := signingKey(path)
	if err != nil {
		return nil, err
	}
	return openRecorder(b, recorder.Config{Region: upRegion, Key: key}, store, defaultSettings(c.Keep), proc)
}

// serve runs the services on the embedded server. The edge drains first: what it packs then must still find the log.
func (c *upCmd) serve(p *program, proc *process, server *bus.Server, keys *auth.Keys, l net.Listener, dir string) error {
	admin, err := bus.Connect(p.ctx, server.Config(bus.Admin), proc.logger)
	if err != nil {
		return err
	}
	err = admin.EnsureStreams(p.ctx, bus.Streams{Region: upRegion, Replicas: 1})
	admin.Close()
	if err != nil {
		return err
	}
	buses := map[bus.Role]*bus.Bus{}
	for _, role := range []bus.Role{bus.Edge, bus.Presence, bus.Recorder} {
		if buses[role], err = bus.Connect(p.ctx, server.Config(role), proc.logger); err != nil {
			return err
		}
		defer buses[role].Close()
	}
	where := c.Blob
	if where == "" {
		where = filepath.Join(dir, "recordings")
	}
	store, err := openBlob(p.ctx, where)
	if err != nil {
		return err
	}
	defer store.Close()
	presence, err := openPresence(buses[bus.Presence], upRegion, defaultSettings(c.Keep), proc)
	if err != nil {
		return err
	}
	recorder, err := c.openRecorder(buses[bus.Recorder], store, dir, proc)
	if err != nil {
		return err
	}
	flags := c.doorFlags
	flags.DevTokens = loopback(l.Addr().String())
	door := doorConfig{Config: edge.Config{
		Listen: c.Listen, Region: upRegion, Keys: keys, Cluster: c.Cluster, Defaults: defaultSettings(c.Keep), Drain: time.Second, Version: versionString(),
	}, doorFlags: flags, listener: l, behind: []func() error{presenceReady(presence), recorderReady(recorder)}}
	ready, runEdge, err := door.open(buses[bus.Edge], proc)
	if err != nil {
		return err
	}
	rest, stopRest := context.WithCancel(context.WithoutCancel(p.ctx))
	return together(p.ctx,
		func(ctx context.Context) error { defer stopRest(); return runEdge(ctx) },
		func(context.Context) error { return quiet(presence.Run(rest)) },
		func(context.Context) error { return quiet(recorder.Run(rest)) },
		func(ctx context.Context) error { return health(ctx, c.Health, proc, ready) },
		func(ctx context.Context) error {
			patience, cancel := context.WithTimeout(ctx, readyPatience)
			defer cancel()
			if await(patience, ready); ctx.Err() != nil {
				return nil
			}
			return c.announce(p, l, keys, dir)
		},
	)
}

// announce prints where to go.
func (c *upCmd) announce(p *program, l net.Listener, keys *auth.Keys, dir string) error {
	url := "http://" + l.Addr().String()
	fmt.Fprintf(p.out, "ready %s\n", url)
	if loopback(l.Addr().String()) {
		fmt.Fprintf(p.out, "open  %s/ in a browser, twice, and talk\n", url)
	} else {
		grants := auth.AllGrants()
		grants.Mint = true
		token, err := keys.Mint(auth.Claims{Identity: "owner", Room: auth.AnyRoom, Grants: grants}, auth.MaxLife)
		if err != nil {
			return fmt.Errorf("make the owner's invite: %w", err)
		}
		fmt.Fprintf(p.out, "open  %s/#invite=%s\n", reachable(url), token)
		fmt.Fprintln(p.out, "      this link opens every room to its bearer for 24 hours: keep it to yourself")
		fmt.Fprintln(p.out, "note  browsers open microphones only on https or localhost: put a TLS proxy in front, and open the link with https and its name")
	}
	fmt.Fprintf(p.out, "data  %s\n", dir)
	fmt.Fprintf(p.out, "proof recordings are signed; airloom recording verify ID --key %s\n", filepath.Join(dir, "recorder.key.pub"))
	if !web.Built() {
		fmt.Fprintln(p.out, "note  the pages are not built into this binary: build with ./task build")
	}
	return nil
}

// reachable puts this machine's name in place of "every address".
func reachable(url string) string {
	host, err := os.Hostname()
	if err != nil {
		return url
	}
	return strings.NewReplacer("[::]", host, "0.0.0.0", host).Replace(url)
}

func quiet(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
