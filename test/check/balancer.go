package main

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// balancer is what stands before edges: one address, each connection goes to the next edge that takes it. So a participant that comes back may
// find itself on another edge.
type balancer struct {
	listener net.Listener
	edges    []string
	next     atomic.Uint64
	work     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func newBalancer(edges []string) (*balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{listener: l, edges: edges, conns: map[net.Conn]struct{}{}}
	b.work.Go(b.accept)
	return b, nil
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) close() {
	b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		c.Close()
	}
	b.mu.Unlock()
	b.work.Wait()
}

func (b *balancer) accept() {
	for {
		near, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.work.Go(func() { b.join(near) })
	}
}

func (b *balancer) join(near net.Conn) {
	defer b.drop(near)
	b.keep(near)
	for range b.edges {
		to := b.edges[b.next.Add(1)%uint64(len(b.edges))]
		far, err := net.DialTimeout("tcp", to, 2*time.Second)
		if err != nil {
			continue
		}
		defer b.drop(far)
		b.keep(far)
		var both sync.WaitGroup
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			both.Go(func() {
				_, _ = io.Copy(way[0], way[1]) // whatever ends it, the connection is over
				way[0].Close()
				way[1].Close()
			})
		}
		both.Wait()
		return
	}
}

func (b *balancer) keep(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.Close()
		return
	}
	b.conns[c] = struct{}{}
}

func (b *balancer) drop(c net.Conn) {
	c.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
}
