package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"airloom/internal/participant"
)

// afterEnd is how long frames may come in behind the news that their track has ended.
const afterEnd = 500 * time.Millisecond

type listenCmd struct {
	remote
	Room   roomName      `required:"" help:"Room to listen to."`
	Name   string        `help:"Name to show in the room."`
	From   string        `default:"live" help:"Where to begin: live."`
	For    time.Duration `env:"-" help:"Stop after so long (from joining on)."`
	Tracks int           `help:"Stop once so many tracks have been heard and have ended."`
	Output string        `short:"o" env:"-" placeholder:"DIR|FILE" help:"Write Ogg Opus: one file per track into DIR, or the first track into FILE (*.opus, *.ogg)."`
	JSON   bool          `name:"json" help:"Print one object at the end, and nothing else."`
}

// Help is printed below the flags.
func (listenCmd) Help() string {
	return "Waits for sound, and counts what it hears until --for, --tracks, Ctrl-C, or the end of the room. The sha256 is equal to the " +
		"publisher's when nothing was lost, doubled or altered. latency_ms is from capture to arrival by the two machines' clocks.\n\n" +
		"Examples:\n  airloom listen --room town-hall --for 10s\n  airloom listen --room town-hall -o recordings/"
}

// Validate is called by the parser.
func (c *listenCmd) Validate() error {
	switch {
	case c.From != "live":
		return fmt.Errorf("--from %s: this version listens live only; recordings are had with `airloom recording`", c.From)
	case c.For < 0, c.Tracks < 0:
		return errors.New("--for, --tracks: must not be negative")
	}
	return c.Room.check()
}

// Run listens.
func (c *listenCmd) Run(p *program) error {
	bar := p.progress(c.JSON)
	files, err := newTrackFiles(c.Output)
	if err != nil {
		return err
	}
	cfg := c.participant(p, string(c.Room), c.Name)
	cfg.Listen = true
	cfg.Hear = files.hear
	cfg.Notice = func(n participant.Notice) { c.notice(p, bar, n) }
	joined, err := join(p, cfg)
	if err != nil {
		return err
	}
	defer joined.Close()
	if !joined.Session().Grants.Listen {
		return &participant.Error{Code: "forbidden", Message: "this token may not listen to room " + string(c.Room)}
	}
	ended := c.wait(p, joined, bar, files.failed)
	bar.done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 2*time.Second)
	defer cancel()
	_ = joined.Leave(ctx) // what was heard is told all the same
	var heard []trackHeard
	joined.Received(func(r *participant.Receiver) {
		r.Flush()
		heard = summarize(r)
	})
	return errors.Join(ended, files.close(), c.report(p, heard))
}

// wait waits for one of the ends. A closed room is a good end, another refusal is an error.
func (c *listenCmd) wait(p *program, joined *participant.Participant, bar *progress, failed <-chan struct{}) error {
	var over <-chan time.Time
	if c.For > 0 {
		timer := time.NewTimer(c.For)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var ended time.Time
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case <-over:
			return nil
		case <-failed:
			return nil // closing the files says why
		case <-joined.Done():
			if participant.IsCode(joined.Err(), "room_closed") {
				return nil
			}
			return fmt.Errorf("listen to room %s: %w", c.Room, joined.Err())
		case <-tick.C:
			done := c.look(joined, bar)
			if !done {
				ended = time.Time{}
				continue
			}
			if ended.IsZero() {
				ended = time.Now()
			}
			if time.Since(ended) >= afterEnd {
				return nil
			}
		}
	}
}

// look shows how far it is; done says that --tracks tracks have ended.
func (c *listenCmd) look(joined *participant.Participant, bar *progress) (done bool) {
	var tracks, ended int
	var frames, missing uint64
	joined.Received(func(r *participant.Receiver) {
		for _, t := range r.Tracks() {
			tracks++
			frames += t.Frames
			missing += t.Missing()
			if t.Ended {
				ended++
			}
		}
	})
	if bar.due() && tracks == 0 {
		bar.show("room %s: waiting for sound", c.Room)
	} else if tracks > 0 {
		bar.show("room %s: %d tracks  %d frames  %d missing", c.Room, tracks, frames, missing)
	}
	return c.Tracks > 0 && ended >= c.Tracks
}

func (c *listenCmd) notice(p *program, bar *progress, n participant.Notice) {
	if c.JSON {
		return
	}
	switch n.Kind {
	case participant.Lost:
		bar.note(p, "the edge is gone (%v): coming back", n.Err)
	case participant.Back:
		bar.note(p, "back")
	case participant.Skipped:
		bar.note(p, "too slow: some frames were skipped")
	case participant.Refused, participant.TokenEnd:
		bar.note(p, "%v", n.Err)
	}
}

// trackHeard is one track in the result.
type trackHeard struct {
	Track      string  `json:"track"`
	Name       string  `json:"name"`
	Identity   string  `json:"identity"`
	Frames     uint64  `json:"frames"`
	Missing    uint64  `json:"missing"`
	Duplicates uint64  `json:"duplicates"`
	Silent     uint64  `json:"silent"`
	Bytes      uint64  `json:"bytes"`
	Seconds    float64 `json:"seconds"`
	SHA256     string  `json:"sha256"`
	Latency    latency `json:"latency_ms"`
}

type latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func summarize(r *participant.Receiver) []trackHeard {
	heard := []trackHeard{}
	for _, t := range r.Tracks() {
		if t.Frames+t.Silent == 0 {
			continue
		}
		heard = append(heard, trackHeard{
			Track: trackID(t), Name: t.Info.Name, Identity: t.Identity,
			Frames: t.Frames, Missing: t.Missing(), Duplicates: t.Duplicates, Silent: t.Silent, Bytes: t.Bytes,
			Seconds: t.Seconds(), SHA256: t.Digest(),
			Latency: latency{ms(t.Latency.Quantile(0.5)), ms(t.Latency.Quantile(0.99)), ms(t.Latency.Max())},
		})
	}
	return heard
}

func (c *listenCmd) report(p *program, heard []trackHeard) error {
	if c.JSON {
		return p.json(map[string]any{"room": c.Room, "tracks": heard})
	}
	if len(heard) == 0 {
		_, err := fmt.Fprintf(p.out, "nothing was heard in room %s\n", c.Room)
		return err
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TRACK\tNAME\tWHO\tSECONDS\tFRAMES\tMISSING\tDOUBLE\tSILENT\tP50 MS\tP99 MS\tSHA256")
	for _, t := range heard {
		fmt.Fprintf(table, "%s\t%q\t%q\t%.2f\t%d\t%d\t%d\t%d\t%.2f\t%.2f\t%.12s…\n", t.Track, t.Name, t.Identity, t.Seconds,
			t.Frames, t.Missing, t.Duplicates, t.Silent, t.Latency.P50, t.Latency.P99, t.SHA256)
	}
	return table.Flush()
}
