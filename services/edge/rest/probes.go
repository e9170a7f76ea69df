package rest

import (
	_ "embed"
	"net/http"

	"airloom/internal/problem"
)

//go:embed openapi.json
var openapiFile []byte

func (d *door) openapi(w http.ResponseWriter, _ *http.Request) error {
	return replyRaw(w, http.StatusOK, openapiFile)
}

// healthz says that the process answers.
func (d *door) healthz(w http.ResponseWriter, _ *http.Request) error {
	return reply(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether the edge can serve: it has reached NATS and is not draining.
func (d *door) readyz(w http.ResponseWriter, _ *http.Request) error {
	if d.deps.Ready != nil {
		if err := d.deps.Ready(); err != nil {
			return problem.New(http.StatusServiceUnavailable, "not_ready", sentence(err))
		}
	}
	return reply(w, http.StatusOK, map[string]string{"status": "ready"})
}

// metricsPage is for this machine only: whoever may come in at the door need not know how busy the edge is.
func (d *door) metricsPage(w http.ResponseWriter, r *http.Request) error {
	switch {
	case d.deps.Metrics == nil:
		return problem.New(http.StatusNotFound, "no_such_path", "This edge has no metrics.")
	case !local(r):
		return problem.New(http.StatusNotFound, "not_local",
			"Here metrics are only for callers on the edge's own machine that ask it directly; for others, start the edge with --health HOST:PORT and ask there.")
	}
	d.deps.Metrics.ServeHTTP(w, r)
	return nil
}
