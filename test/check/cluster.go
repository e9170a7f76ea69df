package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
)

const region = "local"

// programs are the binaries that a run needs.
type programs struct{ airloom, nats, toxiproxy string }

// cluster is the installation under test: three nats-servers, two edges, two presences and two recorders, each a process of its own, joined
// through toxiproxy. It owns the processes and the folder with their data and logs.
type cluster struct {
	dir      string
	programs programs
	env      []string // of services
	nodes    []*node
	edges    []*service
	presence []*service
	recorder []*service
	all      []*process // in the order of starting
	toxi     *process
	proxies  *proxies
	links    map[string][]string // service or node -> proxies that join it with NATS
	front    *balancer
	keys     *auth.Keys
	disks    []*disk

	mu   sync.Mutex
	dead []string // processes that ended by themselves
	slow []string // and those that did not end when they were asked to
	echo *echo    // the newest one
}

// node is one nats-server.
type node struct {
	*process
	addr, store string
}

// service is an airloom process; url is an edge's own door, blob a recorder's folder.
type service struct {
	*process
	kind, addr, health, blob string
}

func (n *node) url() string { return "nats://" + n.addr }

func password(role bus.Role) string { return "pw-of-" + string(role) }

// startCluster starts everything and waits until it serves. What it started is stopped by close, also after an error.
func startCluster(ctx context.Context, cfg config, sharedBlob bool) (c *cluster, err error) {
	c = &cluster{dir: cfg.Dir, programs: cfg.Programs, links: map[string][]string{}}
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "AIRLOOM_") || strings.HasPrefix(one, "AIRLOOM_PLANT=") {
			c.env = append(c.env, one)
		}
	}
	c.env = append(c.env, cfg.Env...)
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, sub := range []string{"logs", "data"} {
		if err := os.MkdirAll(filepath.Join(c.dir, sub), 0o755); err != nil {
			return c, err
		}
	}
	if err := c.layOut(sharedBlob); err != nil {
		return c, err
	}
	if err := c.startNATS(ctx); err != nil {
		return c, err
	}
	for _, s := range c.services() {
		if err := s.start(); err != nil {
			return c, err
		}
	}
	return c, c.untilReady(ctx)
}

func (c *cluster) services() (all []*service) {
	return append(append(append(all, c.presence...), c.recorder...), c.edges...)
}

// layOut decides who listens where and makes all processes, the proxies between them, keys and folders.
func (c *cluster) layOut(sharedBlob bool) error {
	const nodes, pairs, kinds = 3, 2, 3
	addrs, err := freeAddrs(1 + 2*nodes + nodes*nodes + pairs*kinds*(2+nodes) + pairs)
	if err != nil {
		return err
	}
	take := func() (addr string) { addr, addrs = addrs[0], addrs[1:]; return addr }
	toxi := take()
	host, port, _ := strings.Cut(toxi, ":")
	c.toxi = c.process("toxiproxy", c.programs.toxiproxy, nil, "-host", host, "-port", port)
	c.proxies = newProxies(toxi)
	proxied, err := c.layOutNATS(nodes, take)
	if err != nil {
		return err
	}
	key := filepath.Join(c.dir, "key")
	for _, path := range []string{key, c.recorderKey()} {
		if _, err := auth.WriteKeyPair(path); err != nil {
			return err
		}
	}
	if c.keys, err = auth.LoadKeys(key); err != nil {
		return err
	}
	var doors []string
	for i := range pairs {
		for _, kind := range []string{"presence", "recorder", "edge"} {
			s := &service{kind: kind, addr: take(), health: take()}
			name := fmt.Sprintf("%s%d", kind, i+1)
			var urls []string
			for _, n := range c.nodes {
				p := proxy{Name: name + "-" + n.name, Listen: take(), Upstream: n.addr, Enabled: true}
				proxied, urls = append(proxied, p), append(urls, "nats://"+p.Listen)
				c.links[name] = append(c.links[name], p.Name)
			}
			args := []string{kind, "--nats", strings.Join(urls, ","), "--nats-user", kind, "--nats-password", password(bus.Role(kind)),
				"--nats-wait", "60s", "--health", s.health, "--keep", "record"}
			switch kind {
			case "edge":
				door := proxy{Name: name + "-door", Listen: take(), Upstream: s.addr, Enabled: true}
				proxied, doors = append(proxied, door), append(doors, door.Listen)
				args = append(args, "--listen", s.addr, "--key", key, "--drain", "1s")
				c.edges = append(c.edges, s)
			case "recorder":
				if s.blob, err = c.blobFolder(name, sharedBlob); err != nil {
					return err
				}
				args = append(args, "--blob", s.blob, "--key", c.recorderKey())
				c.recorder = append(c.recorder, s)
			default:
				c.presence = append(c.presence, s)
			}
			s.process = c.process(name, c.programs.airloom, c.env, args...)
		}
	}
	if c.front, err = newBalancer(doors); err != nil {
		return err
	}
	if err := c.toxi.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := until(ctx, "toxiproxy answers", func() error { return get(ctx, c.proxies.api+"/version", "", nil) }); err != nil {
		return err
	}
	return c.proxies.populate(ctx, proxied)
}

// recorderKey is what both recorders sign with.
func (c *cluster) recorderKey() string { return filepath.Join(c.dir, "recorder.key") }

func (c *cluster) process(name, path string, env []string, args ...string) *process {
	p := &process{name: name, path: path, args: args, env: env, log: filepath.Join(c.dir, "logs", name+".log"), died: c.died}
	c.all = append(c.all, p)
	return p
}

func (c *cluster) died(name, how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = append(c.dead, name+" ("+how+")")
}

// lingered notes a process that did not end within its grace.
func (c *cluster) lingered(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow = append(c.slow, err.Error())
}

// fell names the processes that ended by themselves, and those that would not end.
func (c *cluster) fell() (dead, slow []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.dead), slices.Clone(c.slow)
}

// named finds a process.
func (c *cluster) named(name string) *process {
	for _, p := range c.all {
		if p.name == name {
			return p
		}
	}
	panic("check: no process " + name)
}

// upright says whether every process is still there that should be.
func (c *cluster) upright() error {
	if dead, _ := c.fell(); len(dead) > 0 {
		return fmt.Errorf("%w: %s ended by itself", errHopeless, strings.Join(dead, ", "))
	}
	return nil
}

// airloom runs a command of the binary to its end.
func (c *cluster) airloom(ctx context.Context, out io.Writer, args ...string) error {
	cmd := exec.CommandContext(ctx, c.programs.airloom, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.env, out, out, diesWithUs()
	return cmd.Run()
}

// untilReady waits until every service says that it serves.
func (c *cluster) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	for _, s := range c.services() {
		if err := until(ctx, s.name+" is ready", func() error {
			return errors.Join(c.upright(), get(ctx, "http://"+s.health+"/readyz", "", nil))
		}); err != nil {
			return err
		}
	}
	return nil
}

// close ends every process and unmounts what was mounted.
func (c *cluster) close() {
	if c.front != nil {
		c.front.close()
	}
	for i := len(c.all) - 1; i >= 0; i-- {
		if c.all[i].running() {
			_ = c.all[i].kill() // it is gone either way
		}
	}
	for _, d := range c.disks {
		d.unmount()
	}
}
