package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// encoder is an ffmpeg process that turns something into Ogg Opus with frames of 20 ms.
type encoder struct {
	cmd    *exec.Cmd
	out    io.ReadCloser
	cancel context.CancelFunc
	said   tail
	once   sync.Once
	ended  error
}

func startEncoder(ctx context.Context, from input, o Options) (*encoder, error) {
	program := o.FFmpeg
	if program == "" {
		program = "ffmpeg"
	}
	found, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("read %s: it is not Ogg Opus: %w", from.label, ErrNoFFmpeg)
	}
	ctx, cancel := context.WithCancel(ctx)
	e := &encoder{cancel: cancel}
	e.cmd = exec.CommandContext(ctx, found, arguments(from.path, o)...)
	e.cmd.WaitDelay = time.Second // a standard input that stays open does not keep us waiting
	e.cmd.Stderr = &e.said
	if from.path == "" {
		e.cmd.Stdin = from.in
	}
	if e.out, err = e.cmd.StdoutPipe(); err == nil {
		err = e.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start ffmpeg: %w", err)
	}
	return e, nil
}

// arguments say: nothing interactive, nothing from the network however a playlist puts it, the first sound track, and
// a page for each frame so that a live pipe is not held back.
func arguments(path string, o Options) []string {
	source := "pipe:0"
	if path != "" {
		source = "file:" + path
	}
	bitrate, channels, application := 32000, 1, "voip"
	if o.Music {
		bitrate, channels, application = 128000, 2, "audio"
	}
	if o.Bitrate > 0 {
		bitrate = o.Bitrate
	}
	if o.Channels > 0 {
		channels = o.Channels
	}
	args := []string{"-hide_banner", "-v", "error", "-protocol_whitelist", "file,pipe"}
	if path != "" {
		args = append(args, "-nostdin")
	}
	return append(args, "-i", source, "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1",
		"-c:a", "libopus", "-b:a", strconv.Itoa(bitrate), "-ac", strconv.Itoa(channels), "-ar", "48000",
		"-application", application, "-frame_duration", "20",
		"-f", "ogg", "-page_duration", "20000", "-flush_packets", "1", "pipe:1")
}

// wait ends the process and gives how it ended.
func (e *encoder) wait() error {
	e.once.Do(func() { e.ended = e.cmd.Wait() })
	return e.ended
}

func (e *encoder) stop() {
	e.cancel()
	_ = e.wait() // it was told to end
}

// finish says whether the end of the sound was the end of a good run.
func (e *encoder) finish() error {
	if err := e.wait(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("ffmpeg broke off: %s", e.said.last(err))
	}
	return io.EOF
}

// explain says why no sound came.
func (e *encoder) explain(from input, err error) error {
	ended := e.wait()
	if ended == nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read what ffmpeg made of %s: %w", from.label, err)
	}
	return fmt.Errorf("read %s: %w: ffmpeg says: %s", from.label, ErrNotAudio, e.said.last(ended))
}

// tail keeps the end of what was written to it, 4 KiB at most. exec.Cmd writes from one goroutine and is done when
// Wait is; until then last must not be called.
type tail struct{ b []byte }

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	const limit = 4 << 10
	t.b = append(t.b, p[max(0, len(p)-limit):]...)
	t.b = append(t.b[:0], t.b[max(0, len(t.b)-limit):]...)
	return len(p), nil
}

// last is the last line that says something, made fit to be printed; err speaks where there is none.
func (t *tail) last(err error) string {
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	line := strings.TrimSpace(lines[len(lines)-1])
	if line == "" && err != nil {
		return err.Error()
	}
	if line == "" {
		return "nothing"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}
