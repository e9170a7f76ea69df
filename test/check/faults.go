package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// kind is a kind of fault. do and undo are called one after the other for each fault, with the fault's processes held.
type kind struct {
	name     string
	weight   int
	from, to int  // ms that it lasts
	once     bool // at most once in a run
	on       func(*rand.Rand) []string
	do, undo func(ctx context.Context, c *cluster, f fault) error
}

// kinds are all of them. Names are what -faults takes.
var kinds []kind

func init() {
	kinds = []kind{
		{name: "kill", weight: 9, from: 100, to: 6000, on: oneOf(nodeNames, serviceNames), do: kill, undo: begin},
		{name: "freeze", weight: 7, from: 500, to: 9000, on: oneOf(nodeNames, serviceNames), do: freeze, undo: thaw},
		{name: "freeze-long", weight: 1, from: 20000, to: 45000, once: true, on: oneOf(serviceNames), do: freeze, undo: thaw},
		{name: "restart", weight: 5, from: 50, to: 1500, on: oneOf(nodeNames, serviceNames), do: end, undo: begin},
		{name: "kill-nats", weight: 2, from: 200, to: 3000, on: allOf(nodeNames...), do: kill, undo: begin},
		{name: "kill-edge-without-log", weight: 2, from: 3000, to: 6000, on: twoNodesAndAnEdge, do: killWithoutLog, undo: reviveWithLog},
		{name: "cut", weight: 5, from: 1000, to: 7000, on: oneOf(nodeNames, serviceNames), do: cut, undo: mend},
		{name: "delay", weight: 3, from: 1000, to: 6000, on: oneOf(nodeNames, serviceNames), do: delay, undo: hasten},
		{name: "cut-door", weight: 2, from: 300, to: 5000, on: oneOf(edgeNames), do: cutDoor, undo: mendDoor},
		{name: "drop-door", weight: 2, from: 20, to: 800, on: oneOf(edgeNames), do: dropDoor, undo: openDoor},
		{name: "full-recorder", weight: 2, from: 1000, to: 8000, on: allOf(fullRecorder), do: fillRecorder, undo: freeRecorder},
		{name: "full-nats", weight: 1, from: 1000, to: 6000, once: true, on: allOf(fullNode), do: fillNode, undo: freeNode},
		{name: "flip", weight: 1, from: 300, to: 2000, once: true, on: oneOf(nodeNames[:2]), do: flip, undo: begin},
		{name: "echo", weight: 3, from: 2000, to: 8000, on: allOf("echo"), do: echoes, undo: hush},
	}
}

// suffer does what the schedule says, and returns when all of it is undone.
func (r *run) suffer(ctx context.Context, s *schedule) error {
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	defer func() { r.note("the faults are over") }()
	for _, f := range s.faults {
		if !pause(ctx, f.at-time.Since(began)) {
			break
		}
		all.Go(func() {
			if err := r.inflict(ctx, f); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s %v: %w", f.kind.name, f.on, err))
			}
		})
	}
	pause(ctx, time.Duration(r.cfg.Seconds)*time.Second-time.Since(began))
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// inflict does one fault and undoes it. Its processes are held meanwhile: where the fault before it took longer than planned (a process may take its
// time to end), this one waits.
func (r *run) inflict(ctx context.Context, f fault) error {
	defer r.cluster.hold(f.on)()
	defer r.begun(f.kind.name)()
	r.note("%s %v for %.2fs", f.kind.name, f.on, f.lasts.Seconds())
	began := time.Now()
	err := f.kind.do(ctx, r.cluster, f)
	pause(ctx, f.lasts-time.Since(began))
	err = errors.Join(err, f.kind.undo(context.WithoutCancel(ctx), r.cluster, f))
	r.note("%s %v is over", f.kind.name, f.on)
	return err
}

// hold waits until no other fault holds any of these and keeps others from them until release is called. Whoever holds several takes them in one
// order. What is no process ("echo") is held by the plan alone.
func (c *cluster) hold(names []string) (release func()) {
	names = slices.Clone(names)
	slices.Sort(names)
	var held []*process
	for _, p := range c.all {
		if _, ours := slices.BinarySearch(names, p.name); ours {
			held = append(held, p)
		}
	}
	slices.SortFunc(held, func(a, b *process) int { return strings.Compare(a.name, b.name) })
	for _, p := range held {
		p.fault.Lock()
	}
	return func() {
		for _, p := range held {
			p.fault.Unlock()
		}
	}
}

// each does something to every process that the fault holds.
func each(c *cluster, f fault, do func(*process) error) (err error) {
	for _, name := range f.on {
		err = errors.Join(err, do(c.named(name)))
	}
	return err
}

func kill(_ context.Context, c *cluster, f fault) error  { return each(c, f, (*process).kill) }
func begin(_ context.Context, c *cluster, f fault) error { return each(c, f, (*process).start) }

func freeze(_ context.Context, c *cluster, f fault) error {
	return each(c, f, func(p *process) error { return p.signal(syscall.SIGSTOP) })
}

func thaw(_ context.Context, c *cluster, f fault) error {
	return each(c, f, func(p *process) error { return p.signal(syscall.SIGCONT) })
}

// end asks for the end as an orchestrator does; what drains must end well within its grace.
func end(_ context.Context, c *cluster, f fault) error {
	return each(c, f, func(p *process) error {
		if err := p.stop(30 * time.Second); err != nil {
			c.lingered(err)
		}
		return nil
	})
}

// killWithoutLog takes the log's quorum away, lets packs gather for two thirds of the time, and kills an edge that holds some.
func killWithoutLog(ctx context.Context, c *cluster, f fault) error {
	nodes := fault{on: f.on[:2]}
	if err := freeze(ctx, c, nodes); err != nil {
		return err
	}
	pause(ctx, f.lasts*2/3)
	return c.named(f.on[2]).kill()
}

func reviveWithLog(ctx context.Context, c *cluster, f fault) error {
	return errors.Join(thaw(ctx, c, fault{on: f.on[:2]}), c.named(f.on[2]).start())
}

// links does something to each proxy between a process and NATS.
func links(c *cluster, f fault, do func(name string) error) (err error) {
	for _, name := range f.on {
		for _, link := range c.links[name] {
			err = errors.Join(err, do(link))
		}
	}
	return err
}

func cut(ctx context.Context, c *cluster, f fault) error {
	return links(c, f, func(link string) error { return c.proxies.cut(ctx, link, f.on[0]) })
}

func mend(ctx context.Context, c *cluster, f fault) error {
	return links(c, f, func(link string) error { return c.proxies.mend(ctx, link, f.on[0]) })
}

func delay(ctx context.Context, c *cluster, f fault) error {
	ms := 20 + f.amount%280
	return links(c, f, func(link string) error { return c.proxies.delay(ctx, link, f.on[0], ms, ms/2) })
}

func hasten(ctx context.Context, c *cluster, f fault) error {
	return links(c, f, func(link string) error { return c.proxies.hasten(ctx, link, f.on[0]) })
}

func door(f fault) string { return f.on[0] + "-door" }

func cutDoor(ctx context.Context, c *cluster, f fault) error {
	return c.proxies.cut(ctx, door(f), f.on[0])
}
func mendDoor(ctx context.Context, c *cluster, f fault) error {
	return c.proxies.mend(ctx, door(f), f.on[0])
}

func dropDoor(ctx context.Context, c *cluster, f fault) error {
	return c.proxies.enable(ctx, door(f), false)
}

func openDoor(ctx context.Context, c *cluster, f fault) error {
	return c.proxies.enable(ctx, door(f), true)
}
