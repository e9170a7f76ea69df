package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// What an edge says before it dies is printed to its last whole line; what comes then is asked for behind it.
func TestFollowGoesOnOverDeadEdges(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var asked []string
	line := func(w http.ResponseWriter, positions ...int) {
		for _, n := range positions {
			fmt.Fprintf(w, "{\"type\":\"session.joined\",\"position\":%d}\n", n)
		}
	}
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Query().Get("after"))
		switch len(asked) {
		case 1: // dies within a line
			line(w, 3, 5)
			fmt.Fprint(w, `{"type":"session.left","pos`)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case 2: // is not ready yet
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3: // says again what was said, keeps alive, drains
			fmt.Fprint(w, "\n\n")
			line(w, 5, 8)
		case 4:
			line(w, 9)
		default:
			cancel() // Ctrl-C
		}
	}))
	defer edge.Close()
	ran := airloomIn(t, ctx, "room", "--url", edge.URL, "--token", "x", "events", "hall", "--follow")
	if ran.code != 0 || strings.Count(ran.out, "\n") != 4 || strings.Contains(ran.out, "session.left") {
		t.Errorf("%d: %s\n%s", ran.code, ran.out, ran.errs)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(asked, " "); got != " 5 5 8 9" {
		t.Errorf("asked for what is behind %q", got)
	}
	for _, words := range []string{"have stopped", "going on behind event 5", "the edge has ended it"} {
		if !strings.Contains(ran.errs, words) {
			t.Errorf("not told: %q in %s", words, ran.errs)
		}
	}
}

// An edge that refuses, or that was never there, is told at once.
func TestFollowDoesNotAskForEver(t *testing.T) {
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer edge.Close()
	for _, url := range []string{edge.URL, "http://127.0.0.1:1"} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		ran := airloomIn(t, ctx, "room", "--url", url, "--token", "x", "events", "hall", "--follow")
		if ran.code != exitFailed || ran.errs == "" || ctx.Err() != nil {
			t.Errorf("%s: %d %s", url, ran.code, ran.errs)
		}
		cancel()
	}
}

// An edge that is there and cannot answer yet is asked again, also when it goes away then.
func TestFollowWaitsForAnEdgeThatIsThere(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			fmt.Fprintln(w, `{"position":1}`)
		default:
			cancel()
		}
	}))
	defer edge.Close()
	if ran := airloomIn(t, ctx, "room", "--url", edge.URL, "--token", "x", "events", "hall", "--follow"); ran.code != 0 || ran.out != "{\"position\":1}\n" {
		t.Errorf("%d: %s %s", ran.code, ran.out, ran.errs)
	}
}

// Without --follow an answer that is cut is an error, and no half line is printed.
func TestEventsCutAreAnError(t *testing.T) {
	edge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "{\"position\":1}\n{\"pos")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer edge.Close()
	ran := airloom(t, "room", "--url", edge.URL, "--token", "x", "events", "hall")
	if ran.code != exitFailed || ran.out != "{\"position\":1}\n" {
		t.Errorf("%d: %s %s", ran.code, ran.out, ran.errs)
	}
	if err := eachLine(strings.NewReader("a\n\nb"), func([]byte) error { return nil }); err == nil {
		t.Error("a line without its end")
	}
	if err := eachLine(bytes.NewReader(bytes.Repeat([]byte("x"), maxLine+1)), func([]byte) error { return nil }); err == nil {
		t.Error("an endless line")
	}
}
