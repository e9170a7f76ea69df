package presence

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/telemetry"
)

const scope = "airloom/services/presence"

// tracer makes presence's spans.
type tracer struct {
	trace.Tracer
	events    metric.Int64Counter
	snapshots metric.Int64Counter
}

func newTracer() tracer {
	events, err := otel.Meter(scope).Int64Counter("airloom.presence.reaped",
		metric.WithDescription("Events appended for sessions that could not speak for themselves."), metric.WithUnit("{event}"))
	if err != nil {
		otel.Handle(err) // the counter returned beside an error is a working no-op
	}
	snapshots, err := otel.Meter(scope).Int64Counter("airloom.presence.snapshots",
		metric.WithDescription("Snapshots of rooms, by what came of writing them."), metric.WithUnit("{snapshot}"))
	if err != nil {
		otel.Handle(err)
	}
	return tracer{Tracer: otel.Tracer(scope), events: events, snapshots: snapshots}
}

// snapshot counts what came of writing a room's snapshot: written, current (what is there holds everything), conflict (another presence
// was faster), torn (a replica lacks events) or failed.
func (t tracer) snapshot(ctx context.Context, done eventlog.Snapped, err error) {
	result := "failed"
	switch {
	case errors.Is(err, eventlog.ErrConflict):
		result = "conflict"
	case errors.Is(err, eventlog.ErrTorn):
		result = "torn"
	case err == nil && done.Written:
		result = "written"
	case err == nil:
		result = "current"
	}
	t.snapshots.Add(ctx, 1, metric.WithAttributes(attribute.String("result", result)))
}

// fold begins the span of an event that names its cause, as a child of it. History is not traced again at each start.
func (t tracer) fold(e *room.Event, live bool) (end func()) {
	if e.Traceparent == "" || !live {
		return func() {}
	}
	ctx := telemetry.FromTraceparent(context.Background(), e.Traceparent)
	_, span := t.Start(ctx, "presence.fold", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("airloom.room", e.Room), attribute.String("airloom.event", e.Fact.Type()),
		attribute.Int64("airloom.position", int64(e.Position)), attribute.String("airloom.by", e.By)))
	return func() { span.End() }
}

// answer begins the span of a request that comes with a trace.
func (t tracer) answer(m *nats.Msg) (end func()) {
	if m.Header.Get(eventlog.Header) == "" {
		return func() {}
	}
	_, span := t.Start(telemetry.Extract(context.Background(), m.Header), "presence.answer",
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("messaging.destination.name", m.Subject)))
	return func() { span.End() }
}

// reap begins the span of a batch; traceparent goes into its events.
func (t tracer) reap(ctx context.Context, events int) (_ context.Context, traceparent string, end func()) {
	ctx, span := t.Start(ctx, "presence.reap", trace.WithAttributes(attribute.Int("airloom.events", events)))
	return ctx, telemetry.Traceparent(ctx), func() { span.End() }
}

func (t tracer) reaped(ctx context.Context, done task) {
	reason := ""
	switch f := done.draft.Fact.(type) {
	case room.Away:
		reason = string(f.Reason)
	case room.Left:
		reason = string(f.Reason)
	}
	t.events.Add(ctx, 1, metric.WithAttributes(attribute.String("event", done.draft.Fact.Type()), attribute.String("reason", reason)))
}

// observe registers the gauges and gives back how to end them.
func (s *Service) observe() (stop func(), err error) {
	meter := otel.Meter(scope)
	gauges := make([]metric.Int64ObservableGauge, 5)
	instruments := make([]metric.Observable, 5)
	for i, g := range []struct{ name, unit, about string }{
		{"airloom.presence.rooms", "{room}", "Rooms that are known."},
		{"airloom.presence.sessions", "{session}", "Sessions by condition."},
		{"airloom.presence.edges", "{edge}", "Edges heard within the last 3 s."},
		{"airloom.presence.fold.lag", "{event}", "Events heard of and not folded yet."},
		{"airloom.presence.snapshots.lag", "{event}", "Events that the next presence would have to read beside the snapshots."},
	} {
		if gauges[i], err = meter.Int64ObservableGauge(g.name, metric.WithUnit(g.unit), metric.WithDescription(g.about)); err != nil {
			return nil, err
		}
		instruments[i] = gauges[i]
	}
	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		o.ObserveInt64(gauges[0], int64(len(s.watch.rooms)))
		for condition, name := range map[standing]string{present: "present", away: "away", over: "over"} {
			o.ObserveInt64(gauges[1], int64(s.watch.totals[condition]), metric.WithAttributes(attribute.String("condition", name)))
		}
		o.ObserveInt64(gauges[2], int64(s.watch.alive(time.Now())))
		o.ObserveInt64(gauges[3], max(0, int64(s.news.Load())-int64(s.watch.position)))
		o.ObserveInt64(gauges[4], int64(s.watch.position-s.watch.ledger.mark(s.watch.position)))
		return nil
	}, instruments...)
	if err != nil {
		return nil, err
	}
	return func() { _ = registration.Unregister() }, nil
}
