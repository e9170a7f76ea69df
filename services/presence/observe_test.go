package presence

import (
	"context"
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"airloom/internal/room"
)

func TestAnEventsTraceGoesOnInPresence(t *testing.T) {
	kept := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	defer func() { _ = provider.Shutdown(context.Background()) }()
	traces := newTracer()
	traces.Tracer = provider.Tracer(scope)
	e := &room.Event{Room: "hall", Position: 7, Fact: room.Left{Session: "s1", Reason: room.Bye}}

	traces.fold(e, true)() // names no cause
	e.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traces.fold(e, false)() // history
	traces.fold(e, true)()

	spans := kept.GetSpans()
	if len(spans) != 1 || spans[0].Name != "presence.fold" || spans[0].Parent.SpanID().String() != "b7ad6b7169203331" ||
		spans[0].SpanContext.TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("spans %+v, want one child of the event's cause", spans)
	}
	_, traceparent, end := traces.reap(t.Context(), 1)
	if end(); len(traceparent) != len(e.Traceparent) {
		t.Errorf("reaped events carry traceparent %q", traceparent)
	}
}
