package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	From   string        `default:"live" placeholder:"live|start|-30s|TIME" help:"Where to begin: live, start (the oldest sound that is kept), so long ago (-30s, -1h5m), or a time (RFC 3339). What lies outside of what is kept is moved to its end."`
	Rate   float64       `env:"-" default:"16" help:"With --from, seconds of sound to get in a second, 1 to 16, until it comes to the live edge. 1 stays as far behind as it began."`
	For    time.Duration `env:"-" help:"Stop after so long (from joining on)."`
	Tracks int           `help:"Stop once so many tracks have been heard and have ended."`
	Output string        `short:"o" env:"-" placeholder:"DIR|FILE" help:"Write Ogg Opus: one file per track into DIR, or the first track into FILE (*.opus, *.ogg)."`
	JSON   bool          `name:"json" help:"Print one object at the end, and nothing else."`

	state string // of playback, as it was noted last; notices come one at a time
}

// Help is printed below the flags.
func (listenCmd) Help() string {
	return "Waits for sound, and counts what it hears until --for, --tracks, Ctrl-C, or the end of the room. The sha256 is equal to the " +
		"publisher's when nothing was lost, doubled or altered. latency_ms is from capture to arrival by the two machines' clocks, and " +
		"counts live frames only.\n\nWith --from it hears the past first, on any edge and in order, and then goes on live: past_frames " +
		"counts the first kind, seek_ms is how long the first packet took. It keeps hold of its place when the edge is gone.\n\n" +
		"Examples:\n  airloom listen --room town-hall --for 10s\n  airloom listen --room town-hall -o recordings/\n" +
		"  airloom listen --room town-hall --from start -o recordings/\n  airloom listen --room town-hall --from -30s --rate 1"
}

// Validate is called by the parser.
func (c *listenCmd) Validate() error {
	switch {
	case !validFrom(c.From):
		return fmt.Errorf("--from %s: use live, start, so long ago (-30s) or a time (2026-11-20T12:00:00Z)", c.From)
	case !(c.Rate >= 1 && c.Rate <= 16):
		return fmt.Errorf("--rate %g: use 1 to 16", c.Rate)
	case c.For < 0, c.Tracks < 0:
		return errors.New("--for, --tracks: must not be negative")
	}
	return c.Room.check()
}

func validFrom(from string) bool {
	if from == "live" || from == "start" {
		return true
	}
	if back, err := time.ParseDuration(from); err == nil {
		return strings.HasPrefix(from, "-") && back <= 0
	}
	_, err := time.Parse(time.RFC3339Nano, from)
	return err == nil
}

// Run listens.
func (c *listenCmd) Run(p *program) error {
	bar := p.progress(c.JSON)
	files, err := newTrackFiles(c.Output)
	if err != nil {
		return err
	}
	cfg := c.participant(p, string(c.Room), c.Name)
	cfg.Listen, cfg.From, cfg.Rate = true, c.From, c.Rate
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
	return errors.Join(ended, files.close(), c.report(p, heard, joined.SeekTime()))
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
	case participant.GrantsChanged:
		bar.note(p, "your rights have changed: you %s", mayDo(n.Grants))
	case participant.Skipped:
		if n.Gap {
			bar.note(p, "some frames are not in the log")
			return
		}
		bar.note(p, "too slow: some frames were skipped")
	case participant.Played:
		c.played(p, bar, n.Playback)
	case participant.Refused, participant.TokenEnd:
		bar.note(p, "%v", n.Err)
	}
}

// played says when the past begins, waits and ends.
func (c *listenCmd) played(p *program, bar *progress, b *participant.Playback) {
	if c.state == b.State {
		return
	}
	c.state = b.State
	switch {
	case b.Clamped == "before_window":
		bar.note(p, "what is kept begins at %s", b.From.Local().Format(time.RFC3339))
	case b.State == "waiting":
		bar.note(p, "waiting for the log, which is behind or does not answer")
	case b.State == "live":
		bar.note(p, "at the live edge")
	default:
		bar.note(p, "playing from %s", b.At.Local().Format(time.RFC3339))
	}
}

// trackHeard is one track in the result.
type trackHeard struct {
	Track      string  `json:"track"`
	Name       string  `json:"name"`
	Identity   string  `json:"identity"`
	Frames     uint64  `json:"frames"`
	Past       uint64  `json:"past_frames"`
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
			Frames: t.Frames, Past: t.Past, Missing: t.Missing(), Duplicates: t.Duplicates, Silent: t.Silent, Bytes: t.Bytes,
			Seconds: t.Seconds(), SHA256: t.Digest(),
			Latency: latency{ms(t.Latency.Quantile(0.5)), ms(t.Latency.Quantile(0.99)), ms(t.Latency.Max())},
		})
	}
	return heard
}

func (c *listenCmd) report(p *program, heard []trackHeard, seek time.Duration) error {
	if c.JSON {
		result := map[string]any{"room": c.Room, "from": c.From, "tracks": heard}
		if c.From != "live" && seek > 0 {
			result["seek_ms"] = ms(seek)
		}
		return p.json(result)
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
