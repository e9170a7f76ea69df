package edge

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

var tracer = otel.Tracer("airloom/edge")

var start = time.Now()

// epochNano keeps nanotime above zero, which stands for "never" in many places, also where virtual time begins decades before start.
const epochNano = 1 << 61

// nanotime is a monotonic clock in ns. Only differences mean something.
func nanotime() int64 { return int64(time.Since(start)) + epochNano }

// metrics are plain counters on the hot path; OpenTelemetry reads them when it collects.
type metrics struct {
	sockets, sessions, rooms           atomic.Int64 // now
	framesIn, packetsIn, packetsHeard  atomic.Int64
	delivered, skipped, slowClosed     atomic.Int64
	packs, acked, resent, outboxNow    atomic.Int64
	handshakes, refused, strikes, lost atomic.Int64
	tapeReads, tapeHits, rewound       atomic.Int64
	tapeHoles, tapeLate                atomic.Int64
	tapeBytes, rewinding               atomic.Int64 // now

	dropped    metric.Int64Counter     // by reason
	closed     metric.Int64Counter     // by code
	ackSeconds metric.Float64Histogram // frame's arrival to its ack
	joined     metric.Float64Histogram // hello to welcome
}

func newMetrics() (*metrics, error) {
	m := &metrics{}
	meter := otel.Meter("airloom/edge")
	counters := []struct {
		name, text string
		value      *atomic.Int64
	}{
		{"airloom.edge.frames.in", "frames taken from speakers", &m.framesIn},
		{"airloom.edge.packets.heard", "packets heard on live subjects", &m.packetsHeard},
		{"airloom.edge.deliveries", "messages written to listeners", &m.delivered},
		{"airloom.edge.skipped", "packets that slow listeners missed", &m.skipped},
		{"airloom.edge.slow.closed", "sockets closed because nothing moved for 10 s", &m.slowClosed},
		{"airloom.edge.packs", "packs given to the log", &m.packs},
		{"airloom.edge.packs.acked", "packs the log has acked", &m.acked},
		{"airloom.edge.packs.resent", "packs given to the log again", &m.resent},
		{"airloom.edge.handshakes", "WebSocket handshakes", &m.handshakes},
		{"airloom.edge.handshakes.refused", "WebSocket handshakes refused", &m.refused},
		{"airloom.edge.strikes", "strikes given", &m.strikes},
		{"airloom.edge.tape.reads", "reads of the audio log for those who rewind", &m.tapeReads},
		{"airloom.edge.tape.hits", "spans of the audio log that were remembered from a read before", &m.tapeHits},
		{"airloom.edge.tape.holes", "seqs that rewinding listeners were told the log does not have", &m.tapeHoles},
		{"airloom.edge.tape.late", "packs of the log that came after their place had been passed", &m.tapeLate},
		{"airloom.edge.rewinds", "times a listener began to play from the past", &m.rewound},
		{"airloom.edge.events.lost", "times a room was folded anew because events were missed", &m.lost},
	}
	for _, c := range counters {
		_, err := meter.Int64ObservableCounter(c.name, metric.WithDescription(c.text),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value.Load()); return nil }))
		if err != nil {
			return nil, err
		}
	}
	gauges := []struct {
		name, text string
		value      *atomic.Int64
	}{
		{"airloom.edge.sockets", "open sockets", &m.sockets},
		{"airloom.edge.sessions", "sessions on this edge", &m.sessions},
		{"airloom.edge.rooms", "rooms open on this edge", &m.rooms},
		{"airloom.edge.tape.bytes", "bytes of the audio log that are remembered", &m.tapeBytes},
		{"airloom.edge.rewinding", "sockets that listen to the past", &m.rewinding},
		{"airloom.edge.outbox", "packs waiting for the log's ack", &m.outboxNow},
	}
	for _, g := range gauges {
		_, err := meter.Int64ObservableGauge(g.name, metric.WithDescription(g.text),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(g.value.Load()); return nil }))
		if err != nil {
			return nil, err
		}
	}
	return m, m.instruments(meter)
}

func (m *metrics) instruments(meter metric.Meter) (err error) {
	if m.dropped, err = meter.Int64Counter("airloom.edge.dropped", metric.WithDescription("items dropped, by reason")); err != nil {
		return err
	}
	if m.closed, err = meter.Int64Counter("airloom.edge.closed", metric.WithDescription("sockets closed, by code")); err != nil {
		return err
	}
	if m.ackSeconds, err = meter.Float64Histogram("airloom.edge.ack", metric.WithUnit("s"), metric.WithDescription("arrival of a pack's first frame to its ack"),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .2, .25, .3, .4, .5, 1, 2, 5, 10, 30)); err != nil {
		return err
	}
	m.joined, err = meter.Float64Histogram("airloom.edge.join", metric.WithUnit("s"), metric.WithDescription("hello to welcome"),
		metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5))
	return err
}

// drop counts something that was dropped; reason is one of the error codes of docs/wire.md, so it is bounded.
func (m *metrics) drop(reason string) {
	m.dropped.Add(context.Background(), 1, metric.WithAttributes(attribute.String("reason", reason)))
}

func sampled(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }
