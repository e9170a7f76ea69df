package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// layOutNATS makes the nats-servers, configured as deploy/k8s has them, and gives the proxies between them. Each reaches each other one through
// a proxy of its own; what it tells of its address to others is no address, or they would go past the proxies.
func (c *cluster) layOutNATS(count int, take func() string) (proxied []proxy, err error) {
	type place struct{ client, route string }
	places := make([]place, count)
	for i := range places {
		places[i] = place{take(), take()}
	}
	for i, at := range places {
		name := fmt.Sprintf("nats%d", i+1)
		var routes []string
		for j, other := range places {
			if i == j {
				continue
			}
			p := proxy{Name: fmt.Sprintf("%s-nats%d", name, j+1), Listen: take(), Upstream: other.route, Enabled: true}
			proxied, routes = append(proxied, p), append(routes, "nats://"+p.Listen)
			for _, end := range []int{i, j} {
				c.links[fmt.Sprintf("nats%d", end+1)] = append(c.links[fmt.Sprintf("nats%d", end+1)], p.Name)
			}
		}
		n := &node{addr: at.client, store: filepath.Join(c.dir, "data", name)}
		if name == fullNode {
			if n.store, err = c.smallDisk(name, name); err != nil {
				return nil, err
			}
		}
		conf := filepath.Join(c.dir, name+".conf")
		if err := os.WriteFile(conf, []byte(natsConf(name, at.client, at.route, n.store, routes)), 0o600); err != nil {
			return nil, err
		}
		env := c.env
		for _, role := range bus.Roles {
			env = append(env, strings.ToUpper(string(role))+"_PASSWORD="+password(role))
		}
		n.process = c.process(name, c.programs.nats, env, "-c", conf)
		c.nodes = append(c.nodes, n)
	}
	return proxied, nil
}

func natsConf(name, client, route, store string, routes []string) string {
	return fmt.Sprintf(`server_name: %s
listen: %q
max_payload: 1MB
max_pending: 8MB
write_deadline: "2s"
ping_interval: "1s"
ping_max: 2
no_fast_producer_stall: true
jetstream {
  store_dir: %q
  max_memory_store: 128MB
  max_file_store: 1GB
  sync_interval: always
}
cluster {
  name: airloom
  listen: %q
  advertise: "127.0.0.1:9"
  no_advertise: true
  routes: [%s]
}
`, name, client, store, route, strings.Join(routes, ", ")) + bus.AuthorizationConf(region)
}

// startNATS starts the servers and makes the streams.
func (c *cluster) startNATS(ctx context.Context) error {
	for _, n := range c.nodes {
		if err := n.start(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return until(ctx, "the streams are made", func() error {
		if err := c.upright(); err != nil {
			return err
		}
		var said bytes.Buffer
		err := c.airloom(ctx, &said, "log", "init", "--nats", c.urls(), "--nats-user", "admin", "--nats-password", password(bus.Admin), "--nats-wait", "20s", "--replicas", "3")
		if err != nil {
			return fmt.Errorf("airloom log init: %w: %s", err, said.Bytes())
		}
		return nil
	})
}

func (c *cluster) urls() string {
	urls := make([]string, len(c.nodes))
	for i, n := range c.nodes {
		urls[i] = n.url()
	}
	return strings.Join(urls, ",")
}

// connect connects past the proxies. Whoever gets the bus closes it.
func (c *cluster) connect(ctx context.Context, role bus.Role, urls string) (*bus.Bus, error) {
	return bus.Connect(ctx, bus.Config{
		URL: urls, User: string(role), Password: password(role), Name: "check", Role: role, Wait: 20 * time.Second,
	}, slog.New(slog.DiscardHandler))
}

// settled waits until every stream has a leader and all of its replicas are current.
func (c *cluster) settled(ctx context.Context, admin *bus.Bus) error {
	for _, name := range []string{subject.LogStream(region), subject.EventStream(region)} {
		err := until(ctx, "stream "+name+" is whole", func() error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			stream, err := admin.JetStream().Stream(ctx, name)
			if err != nil {
				return err
			}
			return whole(stream.CachedInfo())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func whole(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return fmt.Errorf("no leader")
	}
	if have := len(info.Cluster.Replicas); have != info.Config.Replicas-1 {
		return fmt.Errorf("%d replicas besides the leader", have)
	}
	for _, r := range info.Cluster.Replicas {
		if !r.Current || r.Offline {
			return fmt.Errorf("the replica on %s lags by %d, offline %v", r.Name, r.Lag, r.Offline)
		}
	}
	return nil
}
