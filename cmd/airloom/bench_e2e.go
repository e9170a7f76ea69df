package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"airloom/internal/auth"
	"airloom/internal/participant"
	"airloom/internal/room"

	"golang.org/x/sync/errgroup"
)

const (
	joinAtOnce = 16 // listeners that join at the same time
	settle     = 5 * time.Second
)

type benchE2ECmd struct {
	remote
	Room      roomName `default:"bench" env:"-" help:"Room to use; best an empty one."`
	Listeners int      `default:"200" help:"Listeners, all in this process."`
	Seconds   int      `default:"60" help:"How long to publish; the file is repeated as needed."`
	Key       string   `type:"existingfile" env:"-" help:"Private key to make the tokens with, for an edge that gives none."`
	JSON      bool     `name:"json" help:"Print one object."`
	File      string   `arg:"" type:"existingfile" help:"Sound file; Ogg Opus spares ffmpeg."`
}

// Help is printed below the flags.
func (benchE2ECmd) Help() string {
	return "All listeners join before the first frame; airloom publish runs as a process of its own, in real time. Exits 0 only when every " +
		"listener heard every frame, once and unaltered (equal sha256).\n\n" +
		"Example:  airloom bench e2e --listeners 200 --seconds 60 speech.opus"
}

// Validate is called by the parser.
func (c *benchE2ECmd) Validate() error {
	if c.Listeners < 1 || c.Seconds < 1 {
		return errors.New("--listeners, --seconds: at least 1")
	}
	return c.Room.check()
}

// published is what publish --json says.
type published struct {
	Track   string  `json:"track"`
	Frames  uint64  `json:"frames"`
	Silent  int64   `json:"silent"`
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Acked   uint64  `json:"acked"`
	Resent  uint64  `json:"resent"`
	SHA256  string  `json:"sha256"`
}

type e2eResult struct {
	Bench      string    `json:"bench"`
	At         time.Time `json:"at"`
	Version    string    `json:"version"`
	Go         string    `json:"go"`
	CPUs       int       `json:"cpus"`
	Room       string    `json:"room"`
	Listeners  int       `json:"listeners"`
	JoinMS     float64   `json:"join_ms"` // until the last one had joined
	Published  published `json:"published"`
	Heard      uint64    `json:"heard"` // frames, over all listeners
	Missing    uint64    `json:"missing"`
	Duplicates uint64    `json:"duplicates"`
	Equal      int       `json:"equal_sha256"` // listeners
	Latency    struct {
		P50  float64 `json:"p50"`
		P99  float64 `json:"p99"`
		P999 float64 `json:"p999"`
		Max  float64 `json:"max"`
	} `json:"latency_ms"`
	OK bool `json:"ok"`
}

// Run measures.
func (c *benchE2ECmd) Run(p *program) error {
	result := e2eResult{
		Bench: "e2e", At: time.Now().UTC(), Version: versionString(), Go: runtime.Version(), CPUs: runtime.NumCPU(),
		Room: string(c.Room), Listeners: c.Listeners,
	}
	tokens, err := c.tokens()
	if err != nil {
		return err
	}
	listeners, err := c.join(p, tokens)
	defer closeAll(listeners)
	if err != nil {
		return err
	}
	result.JoinMS = ms(time.Since(result.At))
	if !c.JSON {
		fmt.Fprintf(p.errs, "airloom: %d listeners have joined in %.0f ms; publishing for %d s\n", c.Listeners, result.JoinMS, c.Seconds)
	}
	if result.Published, err = c.publish(p, tokens); err != nil {
		return err
	}
	waitHeard(p.ctx, listeners, result.Published)
	result.judge(listeners)
	return errors.Join(c.report(p, &result), result.verdict())
}

// tokens makes the source of each participant's token; nil leaves it to the edge.
func (c *benchE2ECmd) tokens() (func(identity string) (string, error), error) {
	if c.Token != "" {
		return nil, usage(errors.New("one --token cannot be many participants: give --key FILE"))
	}
	if c.Key == "" {
		return nil, nil
	}
	keys, err := auth.LoadKeys(c.Key)
	if err != nil {
		return nil, err
	}
	ttl := time.Duration(c.Seconds)*time.Second + 10*time.Minute
	return func(identity string) (string, error) {
		return keys.Mint(auth.Claims{
			Identity: identity, Room: string(c.Room), Grants: auth.Grants{Grants: room.Grants{Listen: true, Speak: true}},
		}, ttl)
	}, nil
}

func (c *benchE2ECmd) join(p *program, tokens func(string) (string, error)) ([]*participant.Participant, error) {
	listeners := make([]*participant.Participant, c.Listeners)
	run := rand.Text()[:6]
	var group errgroup.Group
	group.SetLimit(joinAtOnce)
	for i := range listeners {
		group.Go(func() (err error) {
			identity := fmt.Sprintf("bench-%s-%d", run, i)
			cfg := c.participant(p, string(c.Room), "")
			cfg.Listen = true
			if tokens == nil {
				cfg.Tokens = participant.DevTokens(c.URL, string(c.Room), identity, "")
			} else if cfg.Token, err = tokens(identity); err != nil {
				return err
			}
			listeners[i], err = join(p, cfg)
			return err
		})
	}
	return listeners, group.Wait()
}

// publish runs `airloom publish` and reads its result.
func (c *benchE2ECmd) publish(p *program, tokens func(string) (string, error)) (published, error) {
	var result published
	program, err := self()
	if err != nil {
		return result, err
	}
	args := []string{
		"publish", "--json", "--url", c.URL, "--room", string(c.Room), "--name", "bench speaker", "--track", "bench",
		"--for", fmt.Sprintf("%ds", c.Seconds), "--loop", c.File,
	}
	child := exec.CommandContext(p.ctx, program, args...)
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	child.WaitDelay = lastAcks + 5*time.Second
	child.Env = os.Environ()
	if tokens != nil {
		token, err := tokens("bench-speaker-" + rand.Text()[:6])
		if err != nil {
			return result, err
		}
		child.Env = append(child.Env, "AIRLOOM_TOKEN="+token) // not in the arguments, which everybody can read
	}
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, p.errs
	if err := child.Run(); err != nil {
		return result, fmt.Errorf("publish: %w", err)
	}
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		return result, fmt.Errorf("decode what publish says: %w", err)
	}
	return result, nil
}

// waitHeard waits until everybody has as many frames as were published, but not for ever.
func waitHeard(ctx context.Context, listeners []*participant.Participant, sent published) {
	ctx, cancel := context.WithTimeout(ctx, settle)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, l := range listeners {
		for {
			if t := heardOf(l, sent.Track); t != nil && t.frames >= sent.Frames {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

type heardTrack struct {
	frames, duplicates uint64
	sha256             string
	latency            participant.Histogram
}

// heardOf gives what one listener heard of a track, nil for nothing.
func heardOf(l *participant.Participant, track string) (heard *heardTrack) {
	l.Received(func(r *participant.Receiver) {
		for _, t := range r.Tracks() {
			if trackID(t) == track {
				heard = &heardTrack{frames: t.Frames, duplicates: t.Duplicates, sha256: t.Digest(), latency: t.Latency}
			}
		}
	})
	return heard
}

func (r *e2eResult) judge(listeners []*participant.Participant) {
	var all participant.Histogram
	for _, l := range listeners {
		l.Received(func(r *participant.Receiver) { r.Flush() })
		t := heardOf(l, r.Published.Track)
		if t == nil {
			r.Missing += r.Published.Frames
			continue
		}
		r.Heard += t.frames
		r.Missing += r.Published.Frames - min(t.frames, r.Published.Frames)
		r.Duplicates += t.duplicates
		if t.sha256 == r.Published.SHA256 {
			r.Equal++
		}
		all.Merge(&t.latency)
	}
	r.Latency.P50, r.Latency.P99 = ms(all.Quantile(0.5)), ms(all.Quantile(0.99))
	r.Latency.P999, r.Latency.Max = ms(all.Quantile(0.999)), ms(all.Max())
	r.OK = r.Missing == 0 && r.Duplicates == 0 && r.Equal == r.Listeners && r.Published.Acked == r.Published.Frames
}

func (r *e2eResult) verdict() error {
	if r.OK {
		return nil
	}
	return fmt.Errorf("not every listener heard every frame once and unaltered: %d missing, %d doubled, %d of %d equal, %d of %d acked",
		r.Missing, r.Duplicates, r.Equal, r.Listeners, r.Published.Acked, r.Published.Frames)
}

func (c *benchE2ECmd) report(p *program, r *e2eResult) error {
	if c.JSON {
		return p.json(r)
	}
	_, err := fmt.Fprintf(p.out, "%d listeners, %.1f s, %d frames: %d heard, %d missing, %d doubled, %d equal sha256\n"+
		"latency ms: p50 %.2f  p99 %.2f  p99.9 %.2f  max %.2f\n", r.Listeners, r.Published.Seconds, r.Published.Frames, r.Heard,
		r.Missing, r.Duplicates, r.Equal, r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max)
	return err
}

func closeAll(listeners []*participant.Participant) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var group errgroup.Group
	group.SetLimit(joinAtOnce)
	for _, l := range listeners {
		if l != nil {
			group.Go(func() error { return l.Leave(ctx) })
		}
	}
	_ = group.Wait() // the figures are there already
}
