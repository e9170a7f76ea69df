package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"airloom/internal/bus"
	"airloom/internal/participant"
)

func checkPort(ctx context.Context, address string) finding {
	f := finding{Check: "port", Required: true}
	listener, err := net.Listen("tcp", address)
	if err == nil {
		_ = listener.Close() // it was only to see
		f.OK, f.Found = true, address+" is free"
		return f
	}
	if answer, asked := get(ctx, "http://"+address, "healthz"); asked == nil && answer.StatusCode == http.StatusOK {
		f.OK, f.Found = true, address+" is taken by something healthy: airloom itself?"
		return f
	}
	f.Found, f.Todo = err.Error(), "Choose another address with --listen, or end what listens there."
	return f
}

// checkData looks whether the folder, or the nearest one above it that exists, can be written.
func checkData(dir string) finding {
	f := finding{Check: "data", Required: true}
	there := existing(dir)
	probe, err := os.CreateTemp(there, ".airloom-doctor-*")
	if err != nil {
		f.Found, f.Todo = fmt.Sprintf("%s cannot be written: %v", there, err), "Give another folder with --data, or make this one writable for this user."
		return f
	}
	err = errors.Join(probe.Sync(), probe.Close(), os.Remove(probe.Name()))
	f.OK, f.Found = err == nil, dir+" can be written"
	if err != nil {
		f.Found, f.Todo = err.Error(), "Is the disk full or broken?"
	} else if there != dir {
		f.Found = dir + " is not there yet and can be made"
	}
	return f
}

func existing(dir string) string {
	for {
		info, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if err == nil && info.IsDir() || !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return dir
		}
		dir = parent
	}
}

const (
	diskNeeded = 1 << 30
	diskWanted = 10 << 30
)

func checkDisk(dir string) finding {
	f := finding{Check: "disk", Required: true}
	free, err := freeBytes(existing(dir))
	switch {
	case err != nil:
		f.OK, f.Found = true, "free space is not known: "+err.Error()
	case free < diskNeeded:
		f.Found = fmt.Sprintf("%.1f GB free", float64(free)/1e9)
		f.Todo = "Make room: a track of 32 kbit/s takes 0.4 GB a day, and a full disk stops the log."
	default:
		f.OK, f.Found = true, fmt.Sprintf("%.1f GB free", float64(free)/1e9)
		if free < diskWanted {
			f.Todo = "Enough to try it; a track of 32 kbit/s takes 0.4 GB a day."
		}
	}
	return f
}

func checkClock() finding {
	f := finding{Check: "clock", OK: true, Found: time.Now().UTC().Format(time.RFC3339)}
	if synced, known := clockSynced(); known && !synced {
		f.OK = false
		f.Found += ", not kept by NTP"
		f.Todo = "Run chrony or systemd-timesyncd: tokens and latencies go by the clock. On a single machine it does not matter."
	}
	return f
}

func checkFFmpeg(ctx context.Context) finding {
	f := finding{Check: "ffmpeg"}
	const why = "Only needed to publish what is not Ogg Opus, and to export mixes. Debian: apt install ffmpeg."
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		f.Found, f.Todo = "not found", why
		return f
	}
	encoders, err := exec.CommandContext(ctx, path, "-hide_banner", "-v", "error", "-encoders").Output()
	if err != nil || !strings.Contains(string(encoders), "libopus") {
		f.Found, f.Todo = path+" has no libopus", why
		return f
	}
	f.OK, f.Found = true, path
	return f
}

func checkNATS(ctx context.Context, url string) finding {
	f := finding{Check: "nats", Required: true}
	connected, err := bus.Connect(ctx, bus.Config{URL: url, Name: "airloom doctor", Role: bus.Admin, Wait: 3 * time.Second}, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Found, f.Todo = err.Error(), "Start nats-server with JetStream (docs/operations.md), or mend --nats."
		return f
	}
	defer connected.Close()
	if _, err := connected.JetStream().AccountInfo(ctx); err != nil {
		f.Found, f.Todo = "JetStream: "+err.Error(), "Start nats-server with -js and a store directory, and allow this user $JS.API.>."
		return f
	}
	f.OK, f.Found = true, fmt.Sprintf("nats-server %s with JetStream", connected.Conn().ConnectedServerVersion())
	f.Todo = "See that its jetstream block says `sync_interval: always`, or an ack does not mean that it is on disk; --nats-monitor checks that."
	return f
}

func checkEdge(ctx context.Context, url string) []finding {
	f := finding{Check: "edge", Required: true}
	base, err := participant.HTTPURL(url)
	if err != nil {
		f.Found = err.Error()
		return []finding{f}
	}
	before := time.Now()
	answer, err := get(ctx, base.String(), "readyz")
	switch {
	case err != nil:
		f.Found, f.Todo = err.Error(), "Start an edge with `airloom up`, or mend --url."
		return []finding{f}
	case answer.StatusCode == http.StatusNotFound:
		f.Found, f.Todo = url+" is no airloom edge", "Mend --url."
	case answer.StatusCode != http.StatusOK:
		f.Found, f.Todo = fmt.Sprintf("%s is not ready (%d)", url, answer.StatusCode), "Look at its log: most often NATS cannot be reached."
	default:
		f.OK, f.Found = true, url+" is ready"
	}
	return append([]finding{f}, compareClocks(answer, before)...)
}

func compareClocks(answer *http.Response, before time.Time) []finding {
	theirs, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return nil
	}
	f := finding{Check: "skew", OK: true}
	skew := theirs.Sub(before) // theirs is cut to a second
	f.Found = "the edge's clock is within 2 s of this one"
	if skew < -2*time.Second || skew > 2*time.Second {
		f.OK = false
		f.Found = fmt.Sprintf("the edge's clock is %v off", skew.Round(time.Second))
		f.Todo = "Set both clocks by NTP: tokens are refused beyond 60 s, and latencies are wrong."
	}
	return []finding{f}
}

// get asks for a page and drops what is in it.
func get(ctx context.Context, base, path string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, participant.Unwrapped(err)
	}
	return answer, answer.Body.Close()
}
