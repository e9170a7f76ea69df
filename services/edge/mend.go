package edge

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/room"
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
			e.audit()
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

// audit compares each fold with the log.
func (e *Edge) audit() {
	for _, h := range e.openHubs() {
		h.renewSoon(true)
	}
}

var errMissed = errors.New("an event was missed")

// prove holds the fold against the log: it has every event up to last, by the leader's word the newest. That its position is as high
// is not enough, an event between two that were heard may have been missed; so what was heard is compared with what the log has,
// once. An event that is just on its way looks like a missed one, so it waits for that a little.
func (h *hub) prove(ctx context.Context, last uint64) error {
	soon, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := h.waitFor(soon, last); err != nil {
		return errMissed
	}
	h.mu.Lock()
	whole := h.whole
	h.mu.Unlock()
	if whole >= last {
		return nil
	}
	var logged []uint64
	err := h.edge.log.Events(ctx, h.name, whole, func(e *room.Event) error {
		logged = append(logged, e.Position)
		return nil
	})
	if err != nil {
		return err
	}
	if !h.compare(last, logged) {
		return errMissed
	}
	return nil
}

// compare says whether all events that are logged behind what was whole before, up to last, have been folded.
func (h *hub) compare(last uint64, logged []uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, position := range logged {
		if position > last || position <= h.whole {
			continue
		}
		if len(h.heard) == 0 || h.heard[0] != position {
			return false
		}
		h.whole, h.heard = position, h.heard[1:]
	}
	return true
}
