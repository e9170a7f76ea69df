package telemetry

import (
	"context"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// header is the W3C header's name in NATS messages, whose headers are case-sensitive.
const header = "traceparent"

var w3c = propagation.TraceContext{}

// Traceparent gives the W3C traceparent of the context's span, or "" where it has none that is sampled: a link to a span that
// nobody keeps is of no use in a stored event.
func Traceparent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ""
	}
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier[header]
}

// FromTraceparent gives a context whose parent is the remote span that s names; ctx itself where s is not a valid traceparent.
func FromTraceparent(ctx context.Context, s string) context.Context {
	if s == "" {
		return ctx
	}
	return w3c.Extract(ctx, propagation.MapCarrier{header: s})
}

// Inject puts the context's traceparent into h where its span is sampled; else h stays as it is, as headers cost those who
// receive them.
func Inject(ctx context.Context, h nats.Header) {
	if parent := Traceparent(ctx); parent != "" {
		h[header] = []string{parent}
	}
}

// Extract gives a context whose parent is the remote span that h names, if it names one. h may be nil.
func Extract(ctx context.Context, h nats.Header) context.Context {
	if values := h[header]; len(values) == 1 {
		return FromTraceparent(ctx, values[0])
	}
	return ctx
}
