package edge

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// refoldSoon asks for the room to be folded anew: an event was missed.
func (e *Edge) refoldSoon(h *hub) {
	select {
	case e.refolds <- h:
	default: // the audit finds it
	}
}

// mend folds rooms anew when events were missed: when the room's own messages show it, after a reconnect (core
// messages of the meantime are gone), and when the leader knows of events that this fold has not.
func (e *Edge) mend(ctx context.Context) {
	reconnected := make(chan struct{}, 1)
	e.bus.Conn().SetReconnectHandler(func(c *nats.Conn) {
		e.logger.Info("NATS connection is back", "server", c.ConnectedServerName())
		select {
		case reconnected <- struct{}{}:
		default:
		}
	})
	audit := time.NewTicker(e.limits.audit)
	defer audit.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-e.refolds:
			e.refold(ctx, h)
		case <-reconnected:
			for _, h := range e.openHubs() {
				e.refold(ctx, h)
			}
		case <-audit.C:
			e.audit(ctx)
		}
	}
}

func (e *Edge) refold(ctx context.Context, h *hub) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	if err := h.refold(ctx); err != nil && ctx.Err() == nil {
		e.logger.Warn("room could not be folded anew", "room", h.name, "error", err)
	}
}

func (e *Edge) openHubs() []*hub {
	e.mu.Lock()
	defer e.mu.Unlock()
	var hubs []*hub
	for _, h := range e.hubs {
		if isClosed(h.ready) && h.openErr == nil {
			hubs = append(hubs, h)
		}
	}
	return hubs
}

// audit compares each fold with the log's leader. An event that is just on its way looks like a missed one, so a
// difference counts only if the fold has not got there two seconds later.
func (e *Edge) audit(ctx context.Context) {
	for _, h := range e.openHubs() {
		last, err := e.log.LastPosition(ctx, h.name)
		if err != nil {
			return // the log is away: nothing to compare with
		}
		e.background(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if err := h.waitFor(ctx, last); err != nil && e.ctx.Err() == nil {
				e.refoldSoon(h)
			}
		})
	}
}
