package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/load"
	"airloom/internal/participant"
	"airloom/internal/room"
)

// fanoutServer is the process that is measured, and how it is fed.
type fanoutServer struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	url   string // ws://...
	token func(i int) (hello []byte, err error)
	sound func(ctx context.Context) error // sends until ctx ends
	sent  func() int64                    // frames so far; nil: by the clock
	close []func()
}

func (s *fanoutServer) end() {
	if s.stdin != nil {
		s.stdin.Close()
	}
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGKILL) // it keeps nothing
		_ = s.cmd.Wait()
	}
	for i := len(s.close) - 1; i >= 0; i-- {
		s.close[i]()
	}
}

// start runs this program with args and waits for its "ready URL".
func (s *fanoutServer) start(p *program, args ...string) (address string, err error) {
	path, err := self()
	if err != nil {
		return "", err
	}
	s.cmd = exec.Command(path, args...)
	s.cmd.Stderr = p.errs
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return "", fmt.Errorf("start %s: %w", args[0], err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("start %s: %w", args[0], err)
	}
	if err := s.cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", args[0], err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return url, nil
		}
	}
	return "", fmt.Errorf("start %s: it ended before it was ready", args[0])
}

func (c *benchFanoutCmd) startLimit(p *program, s *fanoutServer, kind string) error {
	address, err := s.start(p, "bench", "fanout-server", kind, "--size", strconv.Itoa(c.Size), "--per-second", strconv.Itoa(c.PerSecond))
	if err != nil {
		return err
	}
	s.url = "ws" + strings.TrimPrefix(address, "http") + "/"
	s.sound = func(ctx context.Context) error {
		if _, err := io.WriteString(s.stdin, "go\n"); err != nil {
			return fmt.Errorf("start the sound: %w", err)
		}
		<-ctx.Done()
		return nil
	}
	return nil
}

// startEdge runs an edge as a process of its own on a NATS in this one. The room keeps nothing: what is measured is live.
func (c *benchFanoutCmd) startEdge(p *program, s *fanoutServer) error {
	dir, err := os.MkdirTemp(c.Data, "airloom-bench-fanout-")
	if err != nil {
		return hint(fmt.Errorf("make a folder for the log: %w", err), "Give --data a folder that can be written.")
	}
	s.close = append(s.close, func() { os.RemoveAll(dir) })
	logger := slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: slog.LevelError}))
	server, err := bus.Embed(bus.EmbedConfig{Dir: filepath.Join(dir, "nats"), Region: benchRegion, Listen: "127.0.0.1:0", Lazy: true}, logger)
	if err != nil {
		return err
	}
	s.close = append(s.close, server.Close)
	admin, err := bus.Connect(p.ctx, server.Config(bus.Admin), logger)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.EnsureStreams(p.ctx, bus.Streams{Region: benchRegion, Replicas: 1}); err != nil {
		return err
	}
	key := filepath.Join(dir, "key")
	if _, err := auth.WriteKeyPair(key); err != nil {
		return err
	}
	keys, err := loadKeys([]string{key}, "airloom")
	if err != nil {
		return err
	}
	nats := server.Config(bus.Edge)
	address, err := s.start(p, "edge", "--nats", nats.URL, "--nats-user", nats.User, "--nats-password", nats.Password, "--region", benchRegion,
		"--listen", "127.0.0.1:0", "--key", key, "--keep", "none", "--log-level", "error")
	if err != nil {
		return err
	}
	if err := awaitReady(p.ctx, address); err != nil {
		return err
	}
	ttl := time.Duration(c.Seconds)*time.Second + time.Hour
	mint := func(identity string, grants room.Grants) (string, error) {
		return keys.Mint(auth.Claims{Identity: identity, Room: fanoutRoom, Grants: auth.Grants{Grants: grants}}, ttl)
	}
	s.url = "ws" + strings.TrimPrefix(address, "http") + "/v1/ws"
	s.token = func(i int) ([]byte, error) {
		token, err := mint("listener"+strconv.Itoa(i), room.Grants{Listen: true})
		if err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"type": "hello", "id": 1, "protocol": 1, "token": token, "room": fanoutRoom, "listen": true})
	}
	s.sound = func(ctx context.Context) error {
		token, err := mint("speaker", room.Grants{Speak: true})
		if err != nil {
			return err
		}
		return c.speak(ctx, p, participant.Config{URL: address, Token: token, Room: fanoutRoom, Logger: logger})
	}
	return nil
}

// speak publishes in real time until ctx ends.
func (c *benchFanoutCmd) speak(ctx context.Context, p *program, cfg participant.Config) error {
	joined, err := join(p, cfg)
	if err != nil {
		return err
	}
	defer joined.Close()
	unit, _ := load.Unit(c.PerSecond)
	speaker, err := joined.StartTrack(ctx, participant.TrackConfig{Name: "bench", Channels: 1, FrameMS: float64(unit) * 2.5})
	if err != nil {
		return fmt.Errorf("start a track: %w", err)
	}
	every := time.Second / time.Duration(c.PerSecond)
	begin := time.Now()
	var sound []byte
	for i := 0; ; i++ {
		if sleep(ctx, time.Until(begin.Add(time.Duration(i)*every))) != nil {
			return nil
		}
		sound = load.Sound(sound, c.Size, unit)
		if err := speaker.Send(ctx, sound, true); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("speak: %w", err)
		}
	}
}

func awaitReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, fanoutReady)
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("ask %s: %w", address, err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		if sleep(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the edge at %s does not become ready", address)
		}
	}
}
