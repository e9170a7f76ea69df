package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/services/edge"
	"airloom/services/edge/rest"
	"airloom/web"
)

type edgeCmd struct {
	natsFlags    `embed:""`
	serviceFlags `embed:""`
	keepFlag     `embed:""`
	doorFlags    `embed:""`

	Listen string        `default:"127.0.0.1:8080" help:"Where participants come in."`
	Key    []string      `required:"" placeholder:"FILE" help:"Key that signs tokens: public keys are enough; one may be private."`
	Drain  time.Duration `default:"60s" help:"At the end, how long sockets are given to move to another edge."`
}

// doorFlags are about who may come in, wherever the edge runs.
type doorFlags struct {
	DevTokens bool     `name:"dev-tokens" help:"Give a token to any caller on this machine that has none (needs a private key)."`
	Cluster   string   `default:"airloom" help:"Name of the cluster: the audience of tokens."`
	Host      []string `placeholder:"NAME" help:"Name under which this edge is reached; others are refused."`
	Origin    []string `placeholder:"URL" help:"Origin of foreign pages that may use this edge."`
}

// mayMint checks that an edge that shall give tokens can.
func (f doorFlags) mayMint(keys *auth.Keys) error {
	if f.DevTokens && !keys.CanMint() {
		return hint(errors.New("--dev-tokens: this edge holds no private key"), "Give --key the private file of the pair, or make tokens with `airloom token`.")
	}
	return nil
}

// Help is shown by --help.
func (edgeCmd) Help() string {
	return "Takes frames and presence from participants over WebSocket and fans rooms out to listeners; any number of edges\n" +
		"share the rooms of one NATS.\n\nExample:\n  airloom edge --nats nats://127.0.0.1:4222 --key airloom.key --listen 127.0.0.1:8080 --dev-tokens"
}

// Run serves until Ctrl-C, then drains.
func (c *edgeCmd) Run(p *program) error {
	proc, err := p.process(c.serviceFlags, "edge")
	if err != nil {
		return err
	}
	defer proc.close()
	keys, err := loadKeys(c.Key, c.Cluster)
	if err != nil {
		return err
	}
	if err := c.mayMint(keys); err != nil {
		return err
	}
	l, err := listen(c.Listen)
	if err != nil {
		return err
	}
	defer l.Close()
	b, err := c.connect(p.ctx, bus.Edge, proc.logger)
	if err != nil {
		return err
	}
	defer b.Close()
	door := doorConfig{Config: edge.Config{
		Listen: c.Listen, Region: c.Region, Keys: keys, Cluster: c.Cluster, Defaults: defaultSettings(c.Keep), Drain: c.Drain, Version: versionString(),
	}, doorFlags: c.doorFlags, listener: l}
	ready, run, err := door.open(b, proc)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "ready http://%s\n", l.Addr())
	return together(p.ctx, run, func(ctx context.Context) error { return health(ctx, c.Health, proc, ready) })
}

// doorConfig is an edge with its HTTP door, as `edge` and `up` run it.
type doorConfig struct {
	edge.Config
	doorFlags
	listener net.Listener
	behind   []func() error // what else must be ready where other services are in this process
}

// open makes the edge; run serves it until its context ends and it has drained, ready says why it does not serve.
func (d doorConfig) open(b *bus.Bus, proc *process) (ready func() error, run func(context.Context) error, err error) {
	if err := d.mayMint(d.Keys); err != nil {
		return nil, nil, err
	}
	e, err := edge.New(d.Config, b, proc.logger)
	if err != nil {
		return nil, nil, err
	}
	var pages fs.FS
	if web.Built() {
		pages = web.Dist()
	}
	ready = all(append([]func() error{e.Ready}, d.behind...)...)
	stop := make(chan struct{})
	handler, err := rest.New(rest.Config{
		Listen: d.listener.Addr().String(), Keys: d.Keys, DevTokens: d.DevTokens, Hosts: d.Host, Origins: d.Origin,
	}, rest.Deps{
		Bus: b, Log: e.Log(), Logger: proc.logger, Ready: ready, Metrics: proc.metrics,
		Socket: e.Socket(), Pages: pages, Stop: stop,
	})
	if err != nil {
		return nil, nil, err
	}
	server := rest.Server(handler, proc.logger)
	return ready, func(ctx context.Context) error {
		serving, end := context.WithCancel(context.WithoutCancel(ctx))
		defer end()
		served := make(chan error, 1)
		go func() { served <- serveHTTP(serving, d.listener, server) }()
		err := e.Run(ctx)
		close(stop)
		end()
		return errors.Join(err, <-served)
	}, nil
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
