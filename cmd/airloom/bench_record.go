package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/services/recorder"
)

const benchRegion = "bench"

type benchRecordCmd struct {
	Tracks  int    `env:"-" default:"10" help:"Tracks in the log, ten to a room."`
	Minutes int    `default:"6" help:"How long each of them is: 10 of 6 minutes are an hour of sound."`
	Data    string `type:"path" placeholder:"DIR" help:"Where log and recordings lie meanwhile (default: a temporary folder)."`
	JSON    bool   `name:"json" help:"Print one object."`
	File    string `arg:"" type:"existingfile" help:"Sound file, repeated as needed; Ogg Opus spares ffmpeg."`
}

// Help is printed below the flags.
func (benchRecordCmd) Help() string {
	return "Fills a log of its own with sound while no recorder runs, then starts one and measures how long it takes to have all of it recorded: " +
		"how many times faster than real time a recorder catches up after an outage. The log is not synced while it is filled; recordings are " +
		"synced as always, into a folder. Exits 0 only when every frame is in a recording. All is deleted at the end.\n\n" +
		"Example:  airloom bench record --tracks 10 --minutes 60 speech.opus"
}

// Validate is called by the parser.
func (c *benchRecordCmd) Validate() error {
	if c.Tracks < 1 || c.Minutes < 1 {
		return errors.New("--tracks, --minutes: at least 1")
	}
	return nil
}

type recordResult struct {
	Bench   string    `json:"bench"`
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Go      string    `json:"go"`
	CPUs    int       `json:"cpus"`
	Tracks  int       `json:"tracks"`
	Sound   float64   `json:"sound_seconds"` // of all tracks together
	Frames  int64     `json:"frames"`
	Bytes   int64     `json:"bytes"`        // of Opus
	Fill    float64   `json:"fill_seconds"` // until the log had it
	CatchUp float64   `json:"catch_up_seconds"`
	Speed   float64   `json:"x_real_time"` // sound recorded in a second, of all tracks together
	Wall    float64   `json:"x_outage"`    // how many times faster than it was spoken, all tracks at once
	Found   int64     `json:"recorded_frames"`
	Missing int64     `json:"missing"`
}

// Run measures.
func (c *benchRecordCmd) Run(p *program) error {
	frames, unit, channels, err := (&benchIngestCmd{File: c.File}).sound(p)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(c.Data, "airloom-bench-record-")
	if err != nil {
		return hint(fmt.Errorf("make a folder for the log: %w", err), "Give --data a folder that can be written.")
	}
	defer os.RemoveAll(dir)
	logger := slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelError}))
	server, err := bus.Embed(bus.EmbedConfig{Dir: filepath.Join(dir, "nats"), Region: benchRegion, Lazy: true}, logger)
	if err != nil {
		return err
	}
	defer server.Close()
	line := p.progress(c.JSON)
	defer line.done()
	result := recordResult{
		Bench: "record", At: time.Now().UTC(), Version: versionString(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Tracks: c.Tracks,
	}
	fill := &recordFill{line: line, frames: frames, unit: unit, channels: channels, tracks: c.Tracks, each: int(time.Duration(c.Minutes) * time.Minute / unit), result: &result}
	if err := fill.run(p.ctx, server, logger); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	if err := c.catchUp(p, server, filepath.Join(dir, "recordings"), logger, line, &result); err != nil {
		return err
	}
	line.done()
	return errors.Join(c.report(p, &result), result.verdict())
}

// catchUp starts a recorder and waits until all recordings are closed.
func (c *benchRecordCmd) catchUp(p *program, server *bus.Server, dir string, logger *slog.Logger, line *progress, r *recordResult) error {
	store, err := blob.Open(p.ctx, dir)
	if err != nil {
		return err
	}
	defer store.Close()
	b, err := bus.Connect(p.ctx, server.Config(bus.Recorder), logger)
	if err != nil {
		return err
	}
	defer b.Close()
	service, err := recorder.New(recorder.Config{Region: benchRegion}, b, benchLog(b, logger), store, logger)
	if err != nil {
		return fmt.Errorf("open recorder: %w", err)
	}
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	ended := make(chan error, 1)
	begin := time.Now()
	go func() { ended <- service.Run(ctx) }()
	err = c.closed(ctx, store, line, ended, r)
	r.CatchUp = time.Since(begin).Seconds()
	r.Speed, r.Wall = r.Sound/r.CatchUp, float64(c.Minutes)*60/r.CatchUp
	stop()
	if runErr := <-ended; err == nil && runErr != nil {
		err = runErr
	}
	return err
}

// closed waits for the manifests of all rooms and adds up what they have.
func (c *benchRecordCmd) closed(ctx context.Context, store *blob.Store, line *progress, ended chan error, r *recordResult) error {
	rooms, seen := (c.Tracks+roomSpeakers-1)/roomSpeakers, map[string]bool{}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for o, err := range store.List(ctx, recording.Root) {
			if err != nil {
				return err
			}
			id := filepath.Base(o.Key)
			if seen[id] {
				continue
			}
			data, err := store.Get(ctx, recording.ManifestKey(id))
			if errors.Is(err, blob.ErrNotExist) {
				continue
			}
			var m recording.Manifest
			if err == nil {
				err = json.Unmarshal(data, &m)
			}
			if err != nil {
				return fmt.Errorf("read the manifest of %s: %w", id, err)
			}
			seen[id] = true
			for _, t := range m.Tracks {
				r.Found, r.Missing = r.Found+t.Frames, r.Missing+t.Missing()
			}
		}
		if len(seen) == rooms {
			return nil
		}
		line.show("recording: %d of %d rooms closed", len(seen), rooms)
		select {
		case <-tick.C:
		case err := <-ended:
			ended <- nil
			return errors.Join(errors.New("the recorder ended before it had caught up"), err)
		case <-ctx.Done():
			return errors.New("interrupted")
		}
	}
}

func (r *recordResult) verdict() error {
	if r.Found == r.Frames && r.Missing == 0 {
		return nil
	}
	return fmt.Errorf("not every frame was recorded: %d of %d, %d missing", r.Found, r.Frames, r.Missing)
}

func (c *benchRecordCmd) report(p *program, r *recordResult) error {
	if c.JSON {
		return p.json(r)
	}
	_, err := fmt.Fprintf(p.out, "%d tracks, %s of sound, %d frames, %s: in the log after %.1f s\n"+
		"caught up in %.2f s: %.0f x real time; an outage of %d min with %d speakers is made up for %.0f x faster than it took\n",
		r.Tracks, length(r.Sound), r.Frames, size(r.Bytes), r.Fill, r.CatchUp, r.Speed, c.Minutes, r.Tracks, r.Wall)
	return err
}

// benchDefaults are the settings of rooms in the bench.
var benchDefaults = room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}
