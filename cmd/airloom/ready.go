package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"airloom/internal/problem"
)

// sayReady prints the line on stdout that says a service serves.
func (p *program) sayReady(ctx context.Context, ready func() error, line string) error {
	if !await(ctx, ready) {
		return nil
	}
	fmt.Fprintln(p.out, line)
	<-ctx.Done()
	return nil
}

// await waits until a service is ready; false: its context ended first.
func await(ctx context.Context, ready func() error) bool {
	for ready() != nil {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

// unless puts a service's yes or no into the words of a probe.
func unless(ready func() bool, why string) func() error {
	return func() error {
		if !ready() {
			return errors.New(why)
		}
		return nil
	}
}

// all is ready when each part is; else it says what keeps each of the others.
func all(parts ...func() error) func() error {
	return func() error {
		var why []string
		for _, ready := range parts {
			if err := ready(); err != nil {
				why = append(why, err.Error())
			}
		}
		if len(why) == 0 {
			return nil
		}
		return errors.New(strings.Join(why, "; "))
	}
}

// probes answers what orchestrators and Prometheus ask, in the words of an edge's door (openapi.json).
func probes(metrics http.Handler, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { status(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			problem.Write(w, problem.New(http.StatusServiceUnavailable, "not_ready", "%s.", err))
			return
		}
		status(w, "ready")
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem.Write(w, problem.New(http.StatusNotFound, "no_such_path", "There is /healthz, /readyz and /metrics here, for GET."))
	})
	return mux
}

func status(w http.ResponseWriter, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, "{%q:%q}\n", "status", what)
}
