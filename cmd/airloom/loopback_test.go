package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startUp runs `airloom up` in this process and gives its address. It is ended, and waited for, with the test.
func startUp(t *testing.T) string {
	t.Helper()
	dir := t.TempDir() // before the clean-up below, which must come first
	out, in := io.Pipe()
	var errs bytes.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	p := &program{ctx: ctx, in: strings.NewReader(""), out: in, errs: &errs}
	ended := make(chan int, 1)
	go func() {
		ended <- p.run([]string{"up", "--listen", "127.0.0.1:0", "--data", dir})
		in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if code := <-ended; code != exitOK || t.Failed() {
			t.Errorf("up ended with %d: %s", code, errs.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return url
		}
	}
	t.Fatalf("up is not ready: %s", errs.String())
	return ""
}

func decodeJSON[T any](t *testing.T, r ran) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatalf("%v: exit code %d, out %q, errors %q", err, r.code, r.out, r.errs)
	}
	return v
}

// waitJoined waits until somebody is in the room.
func waitJoined(t *testing.T, url, room string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r := airloom(t, "room", "show", "--url", url, room, "--json")
		if strings.Contains(r.out, "guest-") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody has come into room %s: %q %q", room, r.out, r.errs)
		}
	}
}

type listenResult struct{ Tracks []trackHeard }

// What is published is heard, kept and told: the same digest on both sides, in the file, in the roster, in the attendance.
func TestPublishIsHeard(t *testing.T) {
	url := startUp(t)
	file := opusFile(t, "3")
	dir := t.TempDir()
	listened := make(chan ran, 1)
	go func() {
		listened <- airloom(t, "listen", "--url", url, "--room", "hall", "--tracks", "1", "--for", "60s", "-o", dir, "--json")
	}()
	waitJoined(t, url, "hall")
	sent := airloom(t, "publish", "--url", url, "--room", "hall", "--name", "Ada", "--json", file)
	if sent.code != exitOK {
		t.Fatalf("publish: exit code %d: %s%s", sent.code, sent.errs, sent.out)
	}
	p := decodeJSON[published](t, sent)
	heard := decodeJSON[listenResult](t, <-listened)
	if p.Frames != 151 || p.Acked != p.Frames || len(heard.Tracks) != 1 {
		t.Fatalf("published %+v, heard %+v", p, heard)
	}
	h := heard.Tracks[0]
	if h.Frames != p.Frames || h.Missing != 0 || h.Duplicates != 0 || h.SHA256 != p.SHA256 || h.Latency.P50 <= 0 {
		t.Errorf("published %+v, heard %+v", p, h)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.opus"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	again := decodeJSON[published](t, airloom(t, "publish", "--url", url, "--room", "other", "--rate", "max", "--json", files[0]))
	if again.SHA256 != p.SHA256 || again.Acked != p.Frames {
		t.Errorf("the file holds %+v, want what was published: %+v", again, p)
	}
	if r := airloom(t, "room", "attendance", "--url", url, "hall"); r.code != exitOK || !strings.Contains(r.out, "  Ada  ") || strings.Contains(r.out, "still there") {
		t.Errorf("attendance: %d %s %s", r.code, r.out, r.errs)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Size() < 1000 {
		t.Errorf("the file: %v %v", info, err)
	}
}

func TestRoomCommands(t *testing.T) {
	url := startUp(t)
	do := func(args ...string) ran {
		t.Helper()
		r := airloom(t, append([]string{"room", args[0], "--url", url}, args[1:]...)...)
		if r.code != exitOK {
			t.Fatalf("room %v: exit code %d: %s", args, r.code, r.errs)
		}
		return r
	}
	if answer, err := get(t.Context(), url, "readyz"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("up said that it is ready: %+v, %v", answer, err)
	}
	do("create", "hall", "--keep", "rewind", "--capacity", "5")
	if r := do("list"); !strings.Contains(r.out, "hall") || !strings.Contains(r.out, "rewind") {
		t.Errorf("list: %s", r.out)
	}
	empty := decodeJSON[map[string]json.RawMessage](t, do("show", "hall", "--json"))
	if string(empty["participants"]) != "[]" || string(empty["away"]) != "[]" {
		t.Errorf("an empty room is %s", empty)
	}
	if r := do("attendance", "hall", "--json"); !strings.Contains(r.out, `"sessions":[]`) {
		t.Errorf("nobody's attendance: %s", r.out)
	}
	do("create", "hall", "--capacity", "7") // is there: changes what is named
	if r := do("show", "hall"); !strings.Contains(r.out, "capacity 7") || !strings.Contains(r.out, "keep rewind") {
		t.Errorf("show: %s", r.out)
	}
	do("record", "hall", "on")
	if r := do("show", "hall"); !strings.Contains(r.out, "recording ") {
		t.Errorf("show: %s", r.out)
	}
	do("record", "hall", "off")
	for _, since := range []string{"start", "-10m", "2026-01-01T00:00:00Z"} {
		do("record", "hall", "on", "--since="+since)
		do("record", "hall", "off")
	}
	for _, args := range [][]string{{"off", "--since", "start"}, {"on", "--since", "lately"}, {"on", "--since", "2999-01-01T00:00:00Z"}} {
		if r := airloom(t, append([]string{"room", "--url", url, "record", "hall"}, args...)...); r.code != exitUsage || !strings.Contains(r.errs, "--since") {
			t.Errorf("%v: %d %s", args, r.code, r.errs)
		}
	}
	do("close", "hall")
	if r := airloom(t, "listen", "--url", url, "--room", "hall", "--for", "5s"); r.code != exitFailed || !strings.Contains(r.errs, "closed") || !strings.Contains(r.errs, "room create") {
		t.Errorf("listen in a closed room: %d %s", r.code, r.errs)
	}
	do("create", "hall")
	if r := do("events", "hall"); strings.Count(r.out, "\n") < 5 || !strings.Contains(r.out, "room.opened") || strings.Contains(r.out, "resume_hash") {
		t.Errorf("events: %s", r.out)
	}
}

// A closed room is a good end for who listens.
func TestListenEndsWithTheRoom(t *testing.T) {
	url := startUp(t)
	listened := make(chan ran, 1)
	go func() { listened <- airloom(t, "listen", "--url", url, "--room", "hall", "--for", "60s", "--json") }()
	waitJoined(t, url, "hall")
	if r := airloom(t, "room", "close", "--url", url, "hall"); r.code != exitOK {
		t.Fatal(r.errs)
	}
	select {
	case r := <-listened:
		if r.code != exitOK {
			t.Errorf("exit code %d: %s", r.code, r.errs)
		}
	case <-time.After(30 * time.Second):
		t.Error("listen goes on in a closed room")
	}
}
