package eventlog

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics count what a service that reads the event log must tell.
type metrics struct {
	passedOver metric.Int64Counter
	missing    metric.Int64Counter
}

func newMetrics() metrics {
	meter := otel.Meter("airloom/internal/eventlog")
	counter := func(name, unit, about string) metric.Int64Counter {
		c, err := meter.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(about))
		if err != nil {
			otel.Handle(err) // the counter returned beside an error is a working no-op
		}
		return c
	}
	return metrics{
		passedOver: counter("airloom.eventlog.snapshots.passed_over", "{snapshot}", "Snapshots that were there and could not be used: their rooms were folded from the beginning."),
		missing:    counter("airloom.eventlog.missing", "{event}", "Events that a replica lacks: found on another one, or lost."),
	}
}

func (m metrics) hole(found, lost uint64) {
	for fate, n := range map[string]uint64{"found": found, "lost": lost} {
		if n > 0 {
			m.missing.Add(context.Background(), int64(n), metric.WithAttributes(attribute.String("fate", fate)))
		}
	}
}
