package recorder

import (
	"context"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
)

var tracer = otel.Tracer("airloom/recorder")

// metrics are plain counters; OpenTelemetry reads them when it collects.
type metrics struct {
	frames, duplicates, equivocations, late, mismatched, rejected atomic.Int64
	gaps, missing, segments, tracks, divergences, skipped         atomic.Int64
	retries, recovered, damaged                                   atomic.Int64

	lag     atomic.Int64 // log messages not read yet
	waiting atomic.Int64 // Unix ns since when something waits to be stored; 0: nothing
	unread  atomic.Int64 // Unix ns when the oldest log message was stored that is not read yet; 0: none
	hole    atomic.Int64 // Unix ns since when a stream is not read on, because a replica that is away may have what is missing; 0: it is
	follows atomic.Int64
}

func newMetrics() (*metrics, error) {
	m := &metrics{}
	meter := otel.Meter("airloom/recorder")
	for _, c := range []struct {
		name, text string
		value      *atomic.Int64
	}{
		{"airloom.recorder.frames", "frames recorded, once for each recording that holds them", &m.frames},
		{"airloom.recorder.duplicates", "frames that came again with the same bytes, once for each recording that holds them", &m.duplicates},
		{"airloom.recorder.equivocations", "frames that came again with other bytes, once for each recording that holds them: the first was kept", &m.equivocations},
		{"airloom.recorder.late", "frames that came after they were declared missing, or after the closing of their track, once for each recording that holds it", &m.late},
		{"airloom.recorder.mismatched", "frames that last longer or shorter than the others of their epoch, once for each recording that holds it: not recorded", &m.mismatched},
		{"airloom.recorder.rejected", "packets in the log that are none", &m.rejected},
		{"airloom.recorder.gaps", "gaps declared by this recorder", &m.gaps},
		{"airloom.recorder.missing", "seqs in gaps declared by this recorder", &m.missing},
		{"airloom.recorder.segments", "segments closed", &m.segments},
		{"airloom.recorder.tracks", "tracks finished, once for each recording", &m.tracks},
		{"airloom.recorder.divergences", "ALARM: objects that another recorder wrote with other bytes", &m.divergences},
		{"airloom.recorder.skipped", "ALARM: log positions that could not be read any more", &m.skipped},
		{"airloom.recorder.recovered", "messages that one replica of the log had lost and another one still had", &m.recovered},
		{"airloom.recorder.damaged", "ALARM: stored segments that could not be read: made again from the log, or declared corrupt", &m.damaged},
		{"airloom.recorder.retries", "attempts to reach the blob store or the log that failed", &m.retries},
	} {
		_, err := meter.Int64ObservableCounter(c.name, metric.WithDescription(c.text),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(c.value.Load()); return nil }))
		if err != nil {
			return nil, err
		}
	}
	for _, g := range []struct {
		name, text string
		value      func() int64
	}{
		{"airloom.recorder.lag", "log messages that wait to be read", m.lag.Load},
		{"airloom.recorder.following", "tracks being recorded, once for each recording", m.follows.Load},
	} {
		_, err := meter.Int64ObservableGauge(g.name, metric.WithDescription(g.text),
			metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error { o.Observe(g.value()); return nil }))
		if err != nil {
			return nil, err
		}
	}
	_, err := meter.Float64ObservableGauge("airloom.recorder.unrecorded.age",
		metric.WithDescription("how long the oldest sound has waited to be read or stored"), metric.WithUnit("s"),
		metric.WithFloat64Callback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(m.unrecordedAge().Seconds())
			return nil
		}))
	return m, err
}

// holdPatience is how long readiness outlasts a hole that cannot be filled.
const holdPatience = 10 * time.Second

// unrecordedAge is how long the oldest thing waits that is in the log and could be in the store.
func (m *metrics) unrecordedAge() (age time.Duration) {
	for _, since := range []int64{m.waiting.Load(), m.unread.Load(), m.hole.Load()} {
		if since > 0 {
			age = max(age, time.Since(time.Unix(0, since)))
		}
	}
	return age
}

// waits notes since when a hole is being filled; the zero time: it is not.
func (m *metrics) waits(since time.Time) {
	if since.IsZero() {
		m.hole.Store(0)
		return
	}
	m.hole.Store(since.UnixNano())
}

// held says that a stream is not read on for so long that an operator must know.
func (m *metrics) held() bool {
	since := m.hole.Load()
	return since > 0 && time.Since(time.Unix(0, since)) > holdPatience
}

func (m *metrics) count(t tally) {
	m.frames.Add(int64(t.recorded))
	m.duplicates.Add(int64(t.duplicates))
	m.late.Add(int64(t.late))
	m.mismatched.Add(int64(t.mismatched))
	m.equivocations.Add(int64(len(t.clashes)))
}
