package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"airloom/internal/load"
)

type benchFanoutCmd struct {
	Listeners int      `env:"-" default:"2000" help:"Listeners of one room, all in this process."`
	Size      int      `env:"-" default:"160" help:"Bytes of a frame."`
	PerSecond int      `env:"-" default:"50" help:"Messages a second: 50 (frames of 20 ms) or 10 (of 100 ms)."`
	Seconds   int      `env:"-" default:"10" help:"How long each is measured."`
	Pairs     int      `env:"-" default:"7" help:"How often edge and limit are measured in turn."`
	Servers   []string `env:"-" default:"edge,write" enum:"edge,write,hub" help:"What is measured in turn: edge; write, the limit: a bare loop of write(2); hub: gorilla/websocket, a goroutine and a channel for each listener."`
	Threads   int      `env:"-" default:"1" help:"Threads that read."`
	Data      string   `type:"path" placeholder:"DIR" help:"Where the edge's log lies meanwhile (default: a temporary folder)."`
	JSON      bool     `name:"json" help:"Print one object."`
}

// Help is printed below the flags.
func (benchFanoutCmd) Help() string {
	return "One speaker, very many listeners of one edge. Each server runs as a process of its own and gets the same frames, in turn and several times; " +
		"the figure is the ratio of the edge to the limit, the median of all pairs. Exits 0 only when no listener of the edge missed anything.\n\n" +
		"Example:  airloom bench fanout --listeners 4000 --size 800 --per-second 10"
}

// Validate is called by the parser.
func (c *benchFanoutCmd) Validate() error {
	_, ok := load.Unit(c.PerSecond)
	switch {
	case c.Listeners < 1 || c.Seconds < 1 || c.Pairs < 1 || c.Threads < 1:
		return errors.New("--listeners, --seconds, --pairs, --threads: at least 1")
	case !ok:
		return errors.New("--per-second: 50 or 10")
	case c.Size < load.MinSize || c.Size > load.MaxSize:
		return fmt.Errorf("--size: %d to %d bytes", load.MinSize, load.MaxSize)
	}
	return nil
}

// fanoutRun is one measurement of one server.
type fanoutRun struct {
	Server     string  `json:"server"`
	Deliveries int64   `json:"deliveries"` // frames heard, over all listeners
	Messages   int64   `json:"messages"`   // that carried them
	CPU        float64 `json:"cpu_seconds_per_million"`
	Memory     float64 `json:"rss_kb_per_listener"` // what the process grew by while they joined
	P50        float64 `json:"p50_ms"`
	P99        float64 `json:"p99_ms"`
	P999       float64 `json:"p999_ms"`
	Missing    int64   `json:"missing"`
	Doubled    int64   `json:"doubled"`
	Skipped    int64   `json:"skipped_notices"`
	Ended      int     `json:"ended"`       // sockets that the server closed
	Load       float64 `json:"load_cpu"`    // processors that the reading took
	JoinMS     float64 `json:"join_ms"`     // until the last one had joined
	Due        int64   `json:"due"`         // frames that were to be heard: what was sent in the time, by all
	Share      float64 `json:"heard_share"` // deliveries / due
}

type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

type fanoutResult struct {
	Bench     string            `json:"bench"`
	At        time.Time         `json:"at"`
	Version   string            `json:"version"`
	Go        string            `json:"go"`
	CPUs      int               `json:"cpus"`
	Listeners int               `json:"listeners"`
	Size      int               `json:"frame_bytes"`
	PerSecond int               `json:"per_second"`
	Seconds   int               `json:"seconds"`
	CPU       map[string]spread `json:"cpu_seconds_per_million"`
	Ratio     map[string]spread `json:"cpu_ratio_to_write,omitempty"` // pair by pair
	Runs      []fanoutRun       `json:"runs"`
}

// Run measures.
func (c *benchFanoutCmd) Run(p *program) error {
	if err := raiseFiles(uint64(c.Listeners) + 1000); err != nil {
		return err
	}
	r := &fanoutResult{
		Bench: "fanout", At: time.Now().UTC(), Version: versionString(), Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Listeners: c.Listeners, Size: c.Size, PerSecond: c.PerSecond, Seconds: c.Seconds, CPU: map[string]spread{}, Ratio: map[string]spread{},
	}
	cpu, ratio := map[string][]float64{}, map[string][]float64{}
	for pair := range c.Pairs {
		of := map[string]float64{}
		for _, server := range c.turn(pair) {
			run, err := c.measure(p, server)
			if err != nil {
				return fmt.Errorf("measure %s: %w", server, err)
			}
			if !c.JSON {
				fmt.Fprintf(p.errs, "%d/%d  %s\n", pair+1, c.Pairs, run)
			}
			of[server] = run.CPU
			cpu[server] = append(cpu[server], run.CPU)
			r.Runs = append(r.Runs, *run)
		}
		for server, own := range of {
			if limit := of["write"]; server != "write" && limit > 0 {
				ratio[server] = append(ratio[server], own/limit)
			}
		}
	}
	for server, all := range cpu {
		r.CPU[server] = spreadOf(all)
	}
	for server, all := range ratio {
		r.Ratio[server] = spreadOf(all)
	}
	return errors.Join(c.report(p, r), r.verdict())
}

// turn is the order of a pair: every other one the other way round, so that what heats or slows the machine hits all alike.
func (c *benchFanoutCmd) turn(pair int) []string {
	order := slices.Clone(c.Servers)
	if pair%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

func spreadOf(all []float64) spread {
	slices.Sort(all)
	return spread{Median: all[len(all)/2], Min: all[0], Max: all[len(all)-1]}
}

func (r *fanoutRun) String() string {
	return fmt.Sprintf("%-5s  %6.2f CPU-s per million, %5.1f KB a listener, p50 %.1f  p99 %.1f  p99.9 %.1f ms, %d heard (%.1f %%), %d missing, %d doubled, %d skips, %d ended, reading took %.2f CPUs",
		r.Server, r.CPU, r.Memory, r.P50, r.P99, r.P999, r.Deliveries, 100*r.Share, r.Missing, r.Doubled, r.Skipped, r.Ended, r.Load)
}

func (r *fanoutResult) verdict() error {
	for _, run := range r.Runs {
		if run.Server == "edge" && run.Missing+run.Doubled+run.Skipped+int64(run.Ended) > 0 {
			return fmt.Errorf("not everybody heard everything once: %s", &run)
		}
	}
	return nil
}

func (c *benchFanoutCmd) report(p *program, r *fanoutResult) error {
	if c.JSON {
		return p.json(r)
	}
	for _, server := range c.Servers {
		s := r.CPU[server]
		fmt.Fprintf(p.out, "%-5s  %.2f CPU-s per million deliveries (%.2f to %.2f)", server, s.Median, s.Min, s.Max)
		if ratio, ok := r.Ratio[server]; ok {
			fmt.Fprintf(p.out, ", %.2f x the limit (%.2f to %.2f)", ratio.Median, ratio.Min, ratio.Max)
		}
		fmt.Fprintln(p.out)
	}
	return nil
}
