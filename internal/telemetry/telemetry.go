// Package telemetry sets up spans and metrics of the process, and carries W3C trace context through NATS.
//
// Metrics are always there for Prometheus to fetch; spans, and metrics once more, go to an OTLP collector over HTTP when the
// standard OTEL_EXPORTER_OTLP_* variables name one. There is no gRPC exporter: it would add a third to the binary. The package
// decides nothing about what is measured.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	goruntime "go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// Config says who is measured. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over it.
type Config struct {
	Service  string // "airloom-edge"
	Version  string
	Instance string // unique per start of the process
}

// LatencyBuckets are histogram bounds in seconds that tell the delays of live sound apart: give them with
// metric.WithExplicitBucketBoundaries, as the default bounds are made for milliseconds.
var LatencyBuckets = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10}

// Setup installs the process's tracer provider, meter provider, propagator and error handler, once per process. The handler
// serves the metrics for Prometheus. shutdown flushes what is under way and must be called before the process ends.
func Setup(ctx context.Context, cfg Config) (shutdown func(context.Context) error, metrics http.Handler, err error) {
	if err := checkProtocols(); err != nil {
		return nil, nil, err
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			attribute.String("service.name", cfg.Service),
			attribute.String("service.version", cfg.Version),
			attribute.String("service.instance.id", cfg.Instance),
		),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, nil, fmt.Errorf("read telemetry resource: %w", err)
	}
	otel.SetErrorHandler(&complaints{})
	otel.SetTextMapPropagator(propagation.TraceContext{})
	stopTraces, err := setupTraces(ctx, res)
	if err != nil {
		return nil, nil, err
	}
	stopMetrics, metrics, err := setupMetrics(ctx, res)
	if err != nil {
		return nil, nil, errors.Join(err, stopTraces(ctx))
	}
	return func(ctx context.Context) error { return errors.Join(stopTraces(ctx), stopMetrics(ctx)) }, metrics, nil
}

// setupTraces leaves the default no-op provider where no collector is named: spans then cost nothing. The sampler is the SDK's, set by
// OTEL_TRACES_SAMPLER.
func setupTraces(ctx context.Context, res *resource.Resource) (stop func(context.Context) error, err error) {
	if !exports("TRACES") {
		return func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("make OTLP trace exporter: %w", err)
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(res))
	otel.SetTracerProvider(provider)
	return provider.Shutdown, nil
}

func setupMetrics(ctx context.Context, res *resource.Resource) (stop func(context.Context) error, h http.Handler, err error) {
	registry := prometheus.NewRegistry()
	if err := registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})); err != nil {
		return nil, nil, fmt.Errorf("register process metrics: %w", err)
	}
	fetched, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, nil, fmt.Errorf("make Prometheus exporter: %w", err)
	}
	options := []metric.Option{metric.WithResource(res), metric.WithReader(fetched), metric.WithView(bounded)}
	if exports("METRICS") {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("make OTLP metric exporter: %w", err)
		}
		options = append(options, metric.WithReader(metric.NewPeriodicReader(exporter)))
	}
	provider := metric.NewMeterProvider(options...)
	if err := goruntime.Start(goruntime.WithMeterProvider(provider)); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("start runtime metrics: %w", err), provider.Shutdown(ctx))
	}
	otel.SetMeterProvider(provider)
	// OpenMetrics carries the exemplars that lead from a histogram to a trace.
	return provider.Shutdown, promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}), nil
}

// bounded takes from HTTP metrics what a caller chooses freely: each Host header would be a series of its own.
var bounded = metric.NewView(metric.Instrument{Name: "http.server.*"}, metric.Stream{
	AttributeFilter: attribute.NewAllowKeysFilter("http.request.method", "http.response.status_code", "http.route", "error.type"),
})

// exports says whether a signal ("TRACES", "METRICS") goes to a collector.
func exports(signal string) bool {
	if os.Getenv("OTEL_SDK_DISABLED") == "true" || os.Getenv("OTEL_"+signal+"_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != ""
}

// checkProtocols refuses what this build would silently not do.
func checkProtocols() error {
	var problems []error
	for _, name := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"} {
		if value := os.Getenv(name); value != "" && value != "http/protobuf" {
			problems = append(problems, fmt.Errorf("%s=%s: only http/protobuf is built in (a collector listens for it on port 4318)", name, value))
		}
	}
	return errors.Join(problems...)
}

// complaints logs what the exporters report, at most once a minute: a collector that is away must not fill the log.
type complaints struct {
	last atomic.Int64 // Unix seconds
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	now, last := time.Now().Unix(), c.last.Load()
	if now-last >= 60 && c.last.CompareAndSwap(last, now) {
		slog.Warn("telemetry is not delivered", "err", err)
	}
}
