package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"airloom/internal/load"
)

// benchFanoutServerCmd is a server that the edge is compared with; `bench fanout` runs it as a process of its own.
type benchFanoutServerCmd struct {
	Kind      string `arg:"" enum:"write,hub" help:"write: a bare loop of write(2). hub: gorilla/websocket, a goroutine and a channel for each listener."`
	Size      int    `env:"-" default:"160" help:"Bytes of a frame."`
	PerSecond int    `env:"-" default:"50" help:"Messages a second: 50 or 10."`
}

// Run serves: listeners first, and sound from the moment a line comes on standard input until that ends.
func (c *benchFanoutServerCmd) Run(p *program) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	stream := load.Stream{Size: c.Size, PerSecond: c.PerSecond}
	var handler http.Handler
	var send func(ctx context.Context) error
	switch c.Kind {
	case "write":
		bare := &load.Bare{}
		handler, send = bare, func(ctx context.Context) error { return bare.Send(ctx, stream, runtime.NumCPU()) }
	case "hub":
		hub := &load.Hub{}
		handler, send = hub, func(ctx context.Context) error { return hub.Send(ctx, stream) }
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Fprintf(p.out, "ready http://%s\n", l.Addr())
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	in := bufio.NewReader(os.Stdin)
	if _, err := in.ReadString('\n'); err == nil {
		go func() {
			_, _ = in.ReadString('\n') // its end is the word to stop
			stop()
		}()
		err = send(ctx)
	}
	err = errors.Join(err, server.Close())
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
