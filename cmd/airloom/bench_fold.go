package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
)

const foldRegion = "local"

type benchFoldCmd struct {
	Events int    `default:"200000" help:"Events in the log, for each shape."`
	Rooms  []int  `default:"1,200" help:"Shapes: in how many rooms they happened."`
	Inside int    `default:"1000" help:"Sessions at once, over all rooms."`
	Data   string `type:"path" placeholder:"DIR" help:"Where the log lies meanwhile (default: a temporary folder)."`
	JSON   bool   `name:"json" help:"Print one object."`
}

// Help is printed below the flags.
func (benchFoldCmd) Help() string {
	return "Fills a log of its own with joins, leaves and tracks, and measures how long it takes to load a room from all of its events and from " +
		"its snapshot, and how long presence takes to start. The log is not synced while it is filled, and deleted at the end.\n\n" +
		"Example:  airloom bench fold --events 1000000"
}

// Validate is called by the parser.
func (c *benchFoldCmd) Validate() error {
	if c.Events < 1 || c.Inside < 1 || len(c.Rooms) == 0 || slices.Min(c.Rooms) < 1 {
		return errors.New("--events, --rooms, --inside: at least 1")
	}
	if slices.Max(c.Rooms) > c.Events {
		return errors.New("--rooms: at most as many as --events")
	}
	return nil
}

type foldResult struct {
	Bench   string      `json:"bench"`
	At      time.Time   `json:"at"`
	Version string      `json:"version"`
	Go      string      `json:"go"`
	CPUs    int         `json:"cpus"`
	Shapes  []foldShape `json:"shapes"`
}

// foldShape is what was measured of one log.
type foldShape struct {
	Events       int      `json:"events"`
	Rooms        int      `json:"rooms"`
	Sessions     int      `json:"sessions"` // in the room that was loaded, or all of them
	FillSeconds  float64  `json:"fill_seconds"`
	Load         foldTime `json:"load_ms"`          // a room, from all of its events
	LoadSnapshot foldTime `json:"load_snapshot_ms"` // from its snapshot and up to 500 events behind it
	Snapshot     foldTime `json:"write_snapshot_ms"`
	Bytes        uint64   `json:"snapshot_bytes"`             // stored, of all rooms
	Start        float64  `json:"presence_start_ms"`          // from all events
	StartAgain   float64  `json:"presence_start_snapshot_ms"` // from the snapshots
}

// foldTime is over several loads.
type foldTime struct {
	P50 float64 `json:"p50"`
	Max float64 `json:"max"`
	N   int     `json:"n"`
}

func foldTimes(all []time.Duration) foldTime {
	slices.Sort(all)
	return foldTime{P50: ms(all[len(all)/2]), Max: ms(all[len(all)-1]), N: len(all)}
}

// Run measures.
func (c *benchFoldCmd) Run(p *program) error {
	result := foldResult{Bench: "fold", At: time.Now().UTC(), Version: versionString(), Go: runtime.Version(), CPUs: runtime.NumCPU()}
	for _, rooms := range c.Rooms {
		if !c.JSON {
			fmt.Fprintf(p.errs, "airloom: filling a log with %d events in %d rooms\n", c.Events, rooms)
		}
		shape, err := c.measure(p, rooms)
		if err != nil {
			return fmt.Errorf("bench fold, %d rooms: %w", rooms, err)
		}
		result.Shapes = append(result.Shapes, shape)
	}
	if c.JSON {
		return p.json(result)
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "EVENTS\tROOMS\tSESSIONS\tLOAD\tFROM SNAPSHOT\tSTORED\tPRESENCE START\tFROM SNAPSHOTS")
	for _, s := range result.Shapes {
		fmt.Fprintf(table, "%d\t%d\t%d\t%.1f ms\t%.1f ms\t%.1f MB\t%.0f ms\t%.0f ms\n",
			s.Events, s.Rooms, s.Sessions, s.Load.P50, s.LoadSnapshot.P50, float64(s.Bytes)/1e6, s.Start, s.StartAgain)
	}
	return table.Flush()
}

func (c *benchFoldCmd) measure(p *program, rooms int) (shape foldShape, err error) {
	dir, err := os.MkdirTemp(c.Data, "airloom-bench-fold-")
	if err != nil {
		return shape, fmt.Errorf("make a folder for the log: %w", err)
	}
	defer os.RemoveAll(dir)
	logger := slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelError}))
	server, err := bus.Embed(bus.EmbedConfig{Dir: dir, Region: foldRegion, Lazy: true}, logger)
	if err != nil {
		return shape, err
	}
	defer server.Close()
	f := &foldBench{p: p, server: server, logger: logger, rooms: rooms, inside: max(1, c.Inside/rooms)}
	defer f.close()
	if err := f.open(); err != nil {
		return shape, err
	}
	shape = foldShape{Events: c.Events, Rooms: rooms}
	return shape, f.run(c.Events, &shape)
}

// foldBench is one log that is being measured.
type foldBench struct {
	p      *program
	server *bus.Server
	logger *slog.Logger
	rooms  int
	inside int // sessions at once in a room

	buses    []*bus.Bus
	edge     *bus.Bus
	loads    *eventlog.Log // as an edge has it
	presence *eventlog.Log
}

func (f *foldBench) open() error {
	admin, err := f.connect(bus.Admin)
	if err == nil {
		err = admin.EnsureStreams(f.p.ctx, bus.Streams{Region: foldRegion, Replicas: 1})
	}
	if err != nil {
		return err
	}
	if f.edge, err = f.connect(bus.Edge); err != nil {
		return err
	}
	writer, err := f.connect(bus.Presence)
	if err != nil {
		return err
	}
	defaults := defaultSettings(string(room.KeepRecord))
	f.loads = eventlog.New(f.edge, foldRegion, "bench", defaults, f.logger)
	f.presence = eventlog.New(writer, foldRegion, "bench", defaults, f.logger)
	return nil
}

func (f *foldBench) connect(role bus.Role) (*bus.Bus, error) {
	b, err := bus.Connect(f.p.ctx, f.server.Config(role), f.logger)
	if err == nil {
		f.buses = append(f.buses, b)
	}
	return b, err
}

func (f *foldBench) close() {
	for _, b := range slices.Backward(f.buses) {
		b.Close()
	}
}

func foldRoom(i int) string { return fmt.Sprintf("room%d", i) }
