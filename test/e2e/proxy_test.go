package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// proxy is a load balancer in small: one address in front of edges, of which one gets the connections.
type proxy struct {
	listener net.Listener
	work     sync.WaitGroup

	mu    sync.Mutex
	to    string
	conns map[net.Conn]struct{}
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.Close()
		}
		p.mu.Unlock()
		p.work.Wait()
	})
	return p
}

func (p *proxy) url() string { return "http://" + p.listener.Addr().String() }

// turn sends new connections elsewhere.
func (p *proxy) turn(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		to := p.to
		p.mu.Unlock()
		p.work.Go(func() { p.join(c, to) })
	}
}

// join copies both ways until either side ends.
func (p *proxy) join(c net.Conn, to string) {
	defer p.drop(c)
	far, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer p.drop(far)
	p.mu.Lock()
	p.conns[c], p.conns[far] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{c, far}, {far, c}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // whatever ends it, the connection is over
			way[0].Close()
			way[1].Close()
		})
	}
	both.Wait()
}

func (p *proxy) drop(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}
