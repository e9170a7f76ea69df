package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
)

// natsNode is one nats-server, which can be killed and started again on the same data and port.
type natsNode struct {
	*process
	name, conf, addr string
	env              []string
}

// natsConf says how nats-servers run. The zero value is one server with JetStream that lets everybody do everything.
type natsConf struct {
	nodes       int  // 0 and 1: a server alone
	users       bool // the users of bus.AuthorizationConf
	noJetStream bool
	store       string // folder of the log of a server alone; "": one of the test's
}

// password of a role's NATS user in these tests.
func password(role bus.Role) string { return "pw-of-" + string(role) }

// url is where a role connects.
func (n *natsNode) url() string { return "nats://" + n.addr }

// startNATS starts servers as docs/operations.md has them: every message fsynced before it is acked.
func startNATS(t *testing.T, conf natsConf) []*natsNode {
	t.Helper()
	count := max(1, conf.nodes)
	clients, routes := freeAddrs(t, count), freeAddrs(t, count)
	nodes := make([]*natsNode, count)
	for i := range nodes {
		dir := t.TempDir()
		text := fmt.Sprintf("server_name: n%d\nlisten: %q\nping_interval: 1s\nping_max: 2\nno_fast_producer_stall: true\n", i+1, clients[i])
		if !conf.noJetStream {
			store := conf.store
			if store == "" {
				store = filepath.Join(dir, "js")
			}
			text += fmt.Sprintf("jetstream {store_dir: %q, sync_interval: always}\n", store)
		}
		if count > 1 {
			text += fmt.Sprintf("cluster {name: c1, listen: %q, routes: [nats://%s]}\n", routes[i], strings.Join(routes, ", nats://"))
		}
		var env []string
		if conf.users {
			text += bus.AuthorizationConf("local")
			for _, role := range bus.Roles {
				env = append(env, strings.ToUpper(string(role))+"_PASSWORD="+password(role))
			}
		}
		n := &natsNode{name: fmt.Sprintf("n%d", i+1), conf: filepath.Join(dir, "nats.conf"), addr: clients[i], env: env}
		if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		n.start(t)
		nodes[i] = n
	}
	for _, n := range nodes {
		n.await(t)
	}
	return nodes
}

func (n *natsNode) start(t *testing.T) {
	n.process = start(t, "nats-server "+n.name, n.env, natsServer, "-c", n.conf)
}

// await waits until it takes connections.
func (n *natsNode) await(t *testing.T) {
	t.Helper()
	eventually(t, 15*time.Second, n.process.name+" listens", func() bool {
		if !n.running() {
			t.Fatalf("%s ended: %s", n.process.name, n.errs.tail())
		}
		c, err := net.DialTimeout("tcp", n.addr, time.Second)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// raw connects with nats.go alone, as an intruder with a role's password would; complaints are what the server refuses.
func raw(t *testing.T, url string, role bus.Role, complaints chan<- error) *nats.Conn {
	t.Helper()
	opts := []nats.Option{nats.CustomInboxPrefix(role.InboxPrefix()), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond)}
	if role != "" {
		opts = append(opts, nats.UserInfo(string(role), password(role)))
	}
	if complaints != nil {
		opts = append(opts, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case complaints <- err:
			default:
			}
		}))
	}
	c, err := nats.Connect(url, opts...)
	if err != nil {
		t.Fatalf("connect to NATS as %s: %v", role, err)
	}
	t.Cleanup(c.Close)
	return c
}

func js(t *testing.T, c *nats.Conn) jetstream.JetStream {
	t.Helper()
	j, err := jetstream.New(c, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Ports lie below those that the kernel gives to outgoing connections: a server must find the one it was told free, also when it is
// started again.
const (
	portsFrom = 14000
	portsTo   = 17000
)

var nextPort atomic.Uint32 // tests in parallel must not be told the same one

// freeAddrs gives loopback addresses that nobody listens on, all different.
func freeAddrs(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for tries := 0; len(addrs) < n; tries++ {
		if tries > portsTo-portsFrom {
			t.Fatalf("no %d ports are free from %d to %d", n, portsFrom, portsTo)
		}
		port := portsFrom + (firstPort+nextPort.Add(1))%(portsTo-portsFrom)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			addrs = append(addrs, addr)
		}
	}
	return addrs
}

var firstPort = rand.Uint32N(portsTo - portsFrom) // runs may work side by side

func freeAddr(t *testing.T) string { t.Helper(); return freeAddrs(t, 1)[0] }
