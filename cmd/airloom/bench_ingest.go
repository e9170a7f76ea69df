package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"time"

	"airloom/internal/auth"
	"airloom/internal/media"
	"airloom/internal/participant"
	"airloom/internal/room"

	"golang.org/x/sync/errgroup"
)

// roomSpeakers is how many speakers share a room: a panel, not a choir.
const roomSpeakers = 10

type benchIngestCmd struct {
	remote
	Speakers int    `default:"20" help:"Speakers at once, one track each: 20 of 20 ms frames are 1,000 frames a second."`
	Seconds  int    `default:"20" help:"How long to publish; the file is repeated as needed."`
	Key      string `type:"existingfile" env:"-" help:"Private key to make the tokens with, for an edge that gives none."`
	JSON     bool   `name:"json" help:"Print one object."`
	File     string `arg:"" type:"existingfile" help:"Sound file; Ogg Opus spares ffmpeg."`
}

// Help is printed below the flags.
func (benchIngestCmd) Help() string {
	return "Many speakers in real time: how long from sending a frame until the speaker hears that it is durable. Frames go to the log in " +
		"packs of ten, so at 20 ms a frame waits up to 180 ms for its pack and up to 100 ms for the next ack beside what the log takes. " +
		"Exits 0 only when every frame was acked.\n\nExample:  airloom bench ingest --speakers 100 speech.opus"
}

// Validate is called by the parser.
func (c *benchIngestCmd) Validate() error {
	if c.Speakers < 1 || c.Seconds < 1 {
		return errors.New("--speakers, --seconds: at least 1")
	}
	return nil
}

type ingestResult struct {
	Bench     string    `json:"bench"`
	At        time.Time `json:"at"`
	Version   string    `json:"version"`
	Go        string    `json:"go"`
	CPUs      int       `json:"cpus"`
	Speakers  int       `json:"speakers"`
	PerSecond float64   `json:"frames_per_second"`
	Frames    uint64    `json:"frames"`
	Acked     uint64    `json:"acked"`
	Resent    uint64    `json:"resent"`
	Late      uint64    `json:"sent_late"` // by more than 20 ms: this process could not keep its time
	Ack       struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	} `json:"ack_ms"`
}

// Run measures.
func (c *benchIngestCmd) Run(p *program) error {
	if c.Token != "" {
		return usage(errors.New("one --token cannot be many participants: give --key FILE"))
	}
	frames, unit, channels, err := c.sound(p)
	if err != nil {
		return err
	}
	speakers, err := c.join(p)
	defer closeAll(speakers)
	if err != nil {
		return err
	}
	tracks := make([]*ingested, len(speakers))
	var group errgroup.Group
	group.SetLimit(joinAtOnce)
	for i, s := range speakers {
		group.Go(func() (err error) {
			tracks[i], err = newIngested(p.ctx, s, channels, unit)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("start tracks: %w", err)
	}
	began := time.Now()
	var sending errgroup.Group
	for i, t := range tracks {
		offset := unit * time.Duration(i) / time.Duration(len(tracks)) // speakers don't talk in step
		sending.Go(func() error {
			return t.publish(p.ctx, frames, unit, began.Add(offset), time.Duration(c.Seconds)*time.Second)
		})
	}
	if err := sending.Wait(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	result := ingestResult{
		Bench: "ingest", At: began.UTC(), Version: versionString(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Speakers: len(tracks),
		PerSecond: float64(len(tracks)) * float64(time.Second) / float64(unit),
	}
	result.sum(tracks)
	return errors.Join(c.report(p, &result), result.verdict())
}

// sound reads the file into memory: reading it must not disturb what is measured.
func (c *benchIngestCmd) sound(p *program) (frames [][]byte, unit time.Duration, channels int, err error) {
	source, err := media.Open(p.ctx, c.File, p.in, media.Options{})
	if err != nil {
		return nil, 0, 0, err
	}
	defer source.Close()
	for {
		f, err := source.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, 0, 0, fmt.Errorf("read %s: %w", c.File, err)
		}
		if f.Payload != nil {
			frames = append(frames, append([]byte(nil), f.Payload...))
		}
	}
	if len(frames) == 0 {
		return nil, 0, 0, fmt.Errorf("read %s: no sound in it", c.File)
	}
	return frames, time.Duration(source.FrameMS() * float64(time.Millisecond)), source.Channels(), nil
}

func (c *benchIngestCmd) join(p *program) ([]*participant.Participant, error) {
	var keys *auth.Keys
	if c.Key != "" {
		var err error
		if keys, err = auth.LoadKeys(c.Key); err != nil {
			return nil, err
		}
	}
	speakers := make([]*participant.Participant, c.Speakers)
	run := rand.Text()[:6]
	var group errgroup.Group
	group.SetLimit(joinAtOnce)
	for i := range speakers {
		group.Go(func() (err error) {
			identity, name := fmt.Sprintf("ingest-%s-%d", run, i), fmt.Sprintf("ingest-%d", i/roomSpeakers)
			cfg := c.participant(p, name, "")
			if keys == nil {
				cfg.Tokens = participant.DevTokens(c.URL, name, identity, "")
			} else if cfg.Token, err = keys.Mint(auth.Claims{
				Identity: identity, Room: name, Grants: auth.Grants{Grants: room.Grants{Speak: true}},
			}, time.Duration(c.Seconds)*time.Second+10*time.Minute); err != nil {
				return err
			}
			speakers[i], err = join(p, cfg)
			return err
		})
	}
	return speakers, group.Wait()
}

// ingested is one track that is published, and when each of its frames was sent.
type ingested struct {
	speaker *participant.Speaker
	late    uint64

	mu    sync.Mutex // guards what follows
	sent  []time.Time
	acked int // frames
	took  participant.Histogram
}

func newIngested(ctx context.Context, p *participant.Participant, channels int, unit time.Duration) (*ingested, error) {
	t := &ingested{}
	var err error
	t.speaker, err = p.StartTrack(ctx, participant.TrackConfig{
		Name: "bench", Channels: channels, FrameMS: float64(unit) / float64(time.Millisecond), Acked: t.ack,
	})
	return t, err
}

func (t *ingested) ack(seq int64) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for ; t.acked < len(t.sent) && int64(t.acked) <= seq; t.acked++ {
		t.took.Add(now.Sub(t.sent[t.acked]).Microseconds())
	}
}

// publish sends in real time and waits for the last ack.
func (t *ingested) publish(ctx context.Context, frames [][]byte, unit time.Duration, start time.Time, length time.Duration) error {
	for i := range int(length / unit) {
		due := start.Add(time.Duration(i) * unit)
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		} else if -wait > unit {
			t.late++
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		t.mu.Lock()
		t.sent = append(t.sent, time.Now())
		t.mu.Unlock()
		if err := t.speaker.Send(ctx, frames[i%len(frames)], true); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lastAcks)
	defer cancel()
	return t.speaker.End(ctx)
}

func (r *ingestResult) sum(tracks []*ingested) {
	var all participant.Histogram
	for _, t := range tracks {
		stats := t.speaker.Stats()
		r.Frames += stats.Frames
		r.Acked += stats.Kept
		r.Resent += stats.Resent
		r.Late += t.late
		all.Merge(&t.took)
	}
	r.Ack.P50, r.Ack.P99, r.Ack.Max = ms(all.Quantile(0.5)), ms(all.Quantile(0.99)), ms(all.Max())
}

func (r *ingestResult) verdict() error {
	if r.Acked == r.Frames {
		return nil
	}
	return fmt.Errorf("%d of %d frames were acked", r.Acked, r.Frames)
}

func (c *benchIngestCmd) report(p *program, r *ingestResult) error {
	if c.JSON {
		return p.json(r)
	}
	_, err := fmt.Fprintf(p.out, "%d speakers, %.0f frames/s: %d frames, %d acked, %d sent again\nuntil acked, ms: p50 %.0f  p99 %.0f  max %.0f\n",
		r.Speakers, r.PerSecond, r.Frames, r.Acked, r.Resent, r.Ack.P50, r.Ack.P99, r.Ack.Max)
	return err
}
