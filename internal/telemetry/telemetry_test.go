package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP/HTTP collector that keeps the names of what it was sent.
type collector struct {
	*httptest.Server

	mu        sync.Mutex
	spans     map[string]string // span name -> trace id in hex
	metrics   map[string]bool
	resources map[string]string
}

func newCollector(t *testing.T) *collector {
	c := &collector{spans: map[string]string{}, metrics: map[string]bool{}, resources: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var req collectortrace.ExportTraceServiceRequest
		if !c.decode(t, w, r, &req) {
			return
		}
		for _, rs := range req.ResourceSpans {
			c.resource(rs.Resource.Attributes)
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.spans[s.Name] = trace.TraceID(s.TraceId).String()
				}
			}
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var req collectormetrics.ExportMetricsServiceRequest
		if !c.decode(t, w, r, &req) {
			return
		}
		for _, rm := range req.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					c.metrics[m.Name] = true
				}
			}
		}
	})
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

func (c *collector) decode(t *testing.T, w http.ResponseWriter, r *http.Request, m proto.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		zipped, err := gzip.NewReader(body)
		if err != nil {
			t.Errorf("collector: %v", err)
			return false
		}
		body = zipped
	}
	b, err := io.ReadAll(body)
	if err == nil {
		err = proto.Unmarshal(b, m)
	}
	if err != nil {
		t.Errorf("collector: %v", err)
		http.Error(w, "bad", http.StatusBadRequest)
	}
	return err == nil
}

func (c *collector) resource(attrs []*common.KeyValue) {
	for _, a := range attrs {
		c.resources[a.Key] = a.Value.GetStringValue()
	}
}

func TestSpansAndMetricsReachTheCollector(t *testing.T) {
	c := newCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	ctx := t.Context()
	shutdown, metrics, err := Setup(ctx, Config{Service: "airloom-test", Version: "1.2.3", Instance: "i1"})
	if err != nil {
		t.Fatal(err)
	}

	ctx, span := otel.Tracer("test").Start(ctx, "join")
	frames, err := otel.Meter("test").Int64Counter("airloom.frames", metric.WithUnit("{frame}"))
	if err != nil {
		t.Fatal(err)
	}
	frames.Add(ctx, 7)
	span.End()

	h := nats.Header{}
	Inject(ctx, h)
	if len(h["traceparent"]) != 1 {
		t.Fatalf("headers are %v", h)
	}
	if got := trace.SpanContextFromContext(Extract(context.Background(), h)); got.TraceID() != span.SpanContext().TraceID() || !got.IsRemote() {
		t.Errorf("Extract gives %v", got)
	}

	body := fetch(t, metrics)
	for _, want := range []string{"airloom_frames_total 7", "go_goroutine_count", "process_open_fds", `service_version="1.2.3"`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics has no %s:\n%.2000s", want, body)
		}
	}
	if err := shutdown(context.WithoutCancel(ctx)); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spans["join"] != span.SpanContext().TraceID().String() {
		t.Errorf("the collector has spans %v", c.spans)
	}
	if !c.metrics["airloom.frames"] {
		t.Errorf("the collector has metrics %v", c.metrics)
	}
	if c.resources["service.name"] != "airloom-test" || c.resources["service.instance.id"] != "i1" {
		t.Errorf("the collector has resources %v", c.resources)
	}
}

func fetch(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestWithoutACollectorMetricsAreThereAndNothingIsSent(t *testing.T) {
	shutdown, metrics, err := Setup(t.Context(), Config{Service: "airloom-test"})
	if err != nil {
		t.Fatal(err)
	}
	if body := fetch(t, metrics); !strings.Contains(body, "go_goroutine_count") {
		t.Errorf("/metrics: %.500s", body)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever sends requests must not be able to make series of metrics.
func TestHTTPMetricsAreBounded(t *testing.T) {
	shutdown, metrics, err := Setup(t.Context(), Config{Service: "airloom-test"})
	if err != nil {
		t.Fatal(err)
	}
	h := otelhttp.NewHandler(http.NotFoundHandler(), "test")
	for _, host := range []string{"a.example", "b.example:81", "c.example:82"} {
		r := httptest.NewRequest("GET", "/"+host, nil)
		r.Host = host
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	body := fetch(t, metrics)
	if n := strings.Count(body, "http_server_request_duration_seconds_count{"); n != 1 || strings.Contains(body, "a.example") {
		t.Errorf("%d series:\n%.3000s", n, body)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestUnknownProtocolIsRefused(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	if _, _, err := Setup(t.Context(), Config{}); err == nil || !strings.Contains(err.Error(), "OTEL_EXPORTER_OTLP_PROTOCOL") {
		t.Errorf("Setup = %v", err)
	}
}

func TestTraceparent(t *testing.T) {
	const sampled, not = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	ctx := t.Context()
	if got := Traceparent(FromTraceparent(ctx, sampled)); got != sampled {
		t.Errorf("Traceparent = %q", got)
	}
	if got := Traceparent(FromTraceparent(ctx, not)); got != "" {
		t.Errorf("unsampled: Traceparent = %q", got)
	}
	h := nats.Header{}
	Inject(FromTraceparent(ctx, not), h)
	Inject(ctx, h)
	if len(h) != 0 {
		t.Errorf("unsampled: headers %v", h)
	}
	for _, bad := range []string{"", "x", sampled + "0", strings.ToUpper(sampled), "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", strings.Repeat("0", 1<<20)} {
		if got := FromTraceparent(ctx, bad); got != ctx && trace.SpanContextFromContext(got).IsValid() {
			t.Errorf("FromTraceparent(%.60q) gives a span", bad)
		}
	}
	if Extract(ctx, nil) != ctx || Extract(ctx, nats.Header{"traceparent": {sampled, sampled}}) != ctx {
		t.Error("Extract takes a header that is missing or there twice")
	}
}

func TestLogHandlerAddsTheTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(LogHandler(slog.NewJSONHandler(&out, nil))).With("edge", "e1")
	ctx := FromTraceparent(t.Context(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	log.InfoContext(ctx, "joined")
	log.Info("no trace")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var first, second map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[1]), &second); err != nil {
		t.Fatal(err)
	}
	if first["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || first["span_id"] != "b7ad6b7169203331" || first["edge"] != "e1" {
		t.Errorf("logged %v", first)
	}
	if _, has := second["trace_id"]; has {
		t.Errorf("logged %v", second)
	}
}
