package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"airloom/internal/load"
)

const (
	fanoutWarm  = 2 * time.Second // of sound, before anything is counted
	fanoutReady = 20 * time.Second
	fanoutRoom  = "fanout"
	clockTick   = 100 // USER_HZ, which /proc counts in on every Linux that Go runs on
)

func raiseFiles(want uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("ask for the limit of open files: %w", err)
	}
	if l.Max < want {
		return hint(fmt.Errorf("%d open files are needed, and %d allowed", want, l.Max), "Raise the limit (ulimit -n) or take fewer --listeners.")
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("raise the limit of open files: %w", err)
	}
	return nil
}

// measure runs one server with all its listeners.
func (c *benchFanoutCmd) measure(p *program, kind string) (*fanoutRun, error) {
	s := &fanoutServer{}
	defer s.end()
	var err error
	if kind == "edge" {
		err = c.startEdge(p, s)
	} else {
		err = c.startLimit(p, s, kind)
	}
	if err != nil {
		return nil, err
	}
	listeners, err := load.NewListeners(c.Threads)
	if err != nil {
		return nil, err
	}
	defer listeners.Close()
	run := &fanoutRun{Server: kind}
	_, before, err := processUse(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := c.joinAll(p.ctx, s, listeners); err != nil {
		return nil, err
	}
	run.JoinMS = ms(time.Since(begin))
	if err := sleep(p.ctx, 2*time.Second); err != nil { // rosters settle
		return nil, err
	}
	_, after, err := processUse(s.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	run.Memory = float64(after-before) / 1024 / float64(c.Listeners)
	return run, c.listen(p, s, listeners, run)
}

// listen counts what is heard for a while, once the sound flows.
func (c *benchFanoutCmd) listen(p *program, s *fanoutServer, listeners *load.Listeners, run *fanoutRun) error {
	ctx, stop := context.WithCancel(p.ctx)
	sounding := make(chan error, 1)
	go func() { sounding <- s.sound(ctx) }()
	err := sleep(p.ctx, fanoutWarm)
	listeners.Heard()
	cpu, _, e := processUse(s.cmd.Process.Pid)
	own, _, e2 := processUse(os.Getpid())
	begin := time.Now()
	err = errors.Join(err, e, e2, sleep(p.ctx, time.Duration(c.Seconds)*time.Second))
	took := time.Since(begin)
	heard := listeners.Heard()
	cpu2, _, e := processUse(s.cmd.Process.Pid)
	own2, _, e2 := processUse(os.Getpid())
	stop()
	err = errors.Join(err, e, e2, <-sounding)
	if err != nil {
		return err
	}
	run.Deliveries, run.Messages = heard.Frames, heard.Messages
	run.CPU = (cpu2 - cpu) / float64(max(heard.Frames, 1)) * 1e6
	run.Load = (own2 - own) / took.Seconds()
	run.Due = int64(took.Seconds() * float64(c.PerSecond) * float64(c.Listeners))
	run.Share = float64(heard.Frames) / float64(run.Due)
	run.P50, run.P99, run.P999 = ms(heard.Latency.Quantile(0.5)), ms(heard.Latency.Quantile(0.99)), ms(heard.Latency.Quantile(0.999))
	run.Missing, run.Doubled, run.Skipped, run.Ended = heard.Missing, heard.Doubled, heard.Skipped, heard.Ended
	if heard.Broken > 0 {
		return fmt.Errorf("%d messages were not what a server may send", heard.Broken)
	}
	return nil
}

func (c *benchFanoutCmd) joinAll(ctx context.Context, s *fanoutServer, listeners *load.Listeners) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(joinAtOnce)
	for i := range c.Listeners {
		group.Go(func() (err error) {
			var hello []byte
			if s.token != nil {
				if hello, err = s.token(i); err != nil {
					return err
				}
			}
			return listeners.Join(ctx, s.url, hello)
		})
	}
	return group.Wait()
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// processUse is what a process has used: CPU seconds of user and system, and bytes of memory that are resident.
func processUse(pid int) (cpu float64, rss int64, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("ask what a process uses: %w", err)
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold anything
	fields := strings.Fields(after)
	if len(fields) < 22 {
		return 0, 0, fmt.Errorf("ask what a process uses: /proc/%d/stat says %q", pid, stat)
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	return float64(number(11)+number(12)) / clockTick, number(21) * int64(os.Getpagesize()), nil
}
