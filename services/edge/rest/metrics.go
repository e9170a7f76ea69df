package rest

import (
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"airloom/internal/problem"
)

type metrics struct {
	refused metric.Int64Counter
}

func newMetrics() (*metrics, error) {
	refused, err := otel.Meter("airloom/services/edge/rest").Int64Counter("airloom.http.refused",
		metric.WithDescription("Requests answered with a problem, by its code."), metric.WithUnit("{request}"))
	if err != nil {
		return nil, err
	}
	return &metrics{refused: refused}, nil
}

// report counts a refusal by its code (a small, fixed set) and logs what is our fault. It never logs what was sent.
func (d *door) report(r *http.Request, err error) {
	p := problem.Of(err)
	ctx := r.Context()
	d.metrics.refused.Add(ctx, 1, metric.WithAttributes(attribute.String("code", p.Code), attribute.Int("status", p.Status)))
	level := slog.LevelDebug
	if p.Code == "internal" && ctx.Err() == nil { // where the caller has gone, what failed for it says nothing
		level = slog.LevelError
	}
	d.deps.Logger.Log(ctx, level, "refused a request", "method", r.Method, "route", r.Pattern, "status", p.Status, "code", p.Code, "error", err)
}
