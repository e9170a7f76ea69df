package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is one that a process has exported.
type span struct {
	service string
	*trace.Span
}

func (s span) trace() string { return hex.EncodeToString(s.TraceId) }

// linksTo says whether one of its links leads to a trace.
func (s span) linksTo(id string) bool {
	return slices.ContainsFunc(s.Links, func(l *trace.Span_Link) bool { return hex.EncodeToString(l.TraceId) == id })
}

// attribute gives a span's text attribute, "" where it has none.
func (s span) attribute(key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// spans is an OTLP/HTTP collector.
type spans struct {
	server *httptest.Server

	mu    sync.Mutex
	all   []span
	wrong []string
}

func collect(t *testing.T) *spans {
	t.Helper()
	c := &spans{}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/traces" {
		return // metrics come, too
	}
	got, err := decode(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.wrong = append(c.wrong, err.Error())
		return
	}
	for _, of := range got.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				c.all = append(c.all, span{service, s})
			}
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func decode(r *http.Request) (*collector.ExportTraceServiceRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		if body, err = io.ReadAll(z); err != nil {
			return nil, err
		}
	}
	got := &collector.ExportTraceServiceRequest{}
	return got, proto.Unmarshal(body, got)
}

// find waits for a span of a service.
func (c *spans) find(t *testing.T, service, name string, is func(span) bool) (found span) {
	t.Helper()
	eventually(t, 15*time.Second, "a span "+name+" of "+service, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range c.all {
			if s.service == service && s.Name == name && is(s) {
				found = s
				return true
			}
		}
		return false
	})
	return found
}

// One join and one pack of sound can be followed from process to process, and each process tells Prometheus how it is.
func TestTracesAndMetrics(t *testing.T) {
	t.Parallel()
	c := collect(t)
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.server.URL, "OTEL_BSP_SCHEDULE_DELAY=100"}
	presence, recorder, edge := f.presence(), f.recorder(), f.edge()
	listener := listen(t, edge.url, "hall", "ear")
	said := publish(t, edge.url, "hall", "--for", "3s", speechOpus)
	listener.wait(t, 20*time.Second)
	recordedWhole(t, edge.url, said)

	of := func(fact string, other ...string) func(span) bool {
		return func(s span) bool { return slices.Contains(append(other, fact), s.attribute("airloom.event")) }
	}
	track := c.find(t, "airloom-edge", "edge.track.start", func(span) bool { return true })
	join := c.find(t, "airloom-edge", "edge.join", func(s span) bool {
		return s.attribute("airloom.session") == track.attribute("airloom.session")
	})
	c.find(t, "airloom-presence", "presence.fold", func(s span) bool {
		return of("session.joined")(s) && s.trace() == join.trace() && bytes.Equal(s.ParentSpanId, join.SpanId)
	})
	c.find(t, "airloom-recorder", "recorder.fold", func(s span) bool { return of("session.joined")(s) && s.linksTo(join.trace()) })
	if !track.linksTo(join.trace()) {
		t.Error("edge.track.start does not link to edge.join")
	}
	pack := c.find(t, "airloom-edge", "edge.pack", func(s span) bool { return s.linksTo(join.trace()) })
	c.find(t, "airloom-recorder", "recorder.pack", func(s span) bool {
		return s.trace() == pack.trace() && bytes.Equal(s.ParentSpanId, pack.SpanId)
	})
	c.find(t, "airloom-recorder", "recorder.segment", func(span) bool { return true })
	c.find(t, "airloom-edge", "GET /v1/recordings/{recording}", func(span) bool { return true })
	c.mu.Lock()
	for _, wrong := range c.wrong {
		t.Errorf("not OTLP: %s", wrong)
	}
	c.mu.Unlock()

	for _, one := range []struct {
		at      string
		metrics []string
	}{
		{edge.url, []string{"airloom_edge_sockets", "airloom_edge_sessions", "airloom_edge_frames_in_total", "airloom_edge_deliveries_total",
			"airloom_edge_packs_acked_total", "airloom_edge_ack_seconds_bucket", "airloom_edge_join_seconds_bucket", "airloom_edge_outbox"}},
		{"http://" + edge.health, []string{"airloom_edge_frames_in_total"}},
		{"http://" + presence.health, []string{"airloom_presence_rooms", "airloom_presence_sessions", "airloom_presence_edges"}},
		{"http://" + recorder.health, []string{"airloom_recorder_frames_total", "airloom_recorder_segments_total", "airloom_recorder_lag",
			"airloom_recorder_unrecorded_age_seconds", "airloom_recorder_divergences_total"}},
	} {
		page := scrape(t, one.at)
		for _, name := range append(one.metrics, "go_goroutine", "process_resident_memory_bytes", "target_info") {
			if !strings.Contains(page, "\n"+name) {
				t.Errorf("%s/metrics has no %s", one.at, name)
			}
		}
	}
	if !strings.Contains(scrape(t, edge.url), "airloom_edge_frames_in_total 150\n") {
		t.Error("the edge did not count 150 frames")
	}
}

// scrape gets the metrics and checks what a probe would.
func scrape(t *testing.T, url string) string {
	t.Helper()
	for _, path := range []string{"/healthz", "/readyz"} {
		if _, err := get(url, "none", path, nil); err != nil {
			t.Error(err)
		}
	}
	page, err := get(url, "none", "/metrics", nil)
	if err != nil {
		t.Error(err)
	}
	return "\n" + string(page)
}
