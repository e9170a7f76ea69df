package edge

import (
	"context"
	"fmt"
	"time"

	"airloom/internal/room"
)

// waitFor returns when the fold has reached a position.
func (h *hub) waitFor(ctx context.Context, position uint64) error {
	for {
		h.mu.Lock()
		reached, moved := h.state.Position >= position && !h.folding, h.moved
		h.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for position %d of room %s: %w", position, h.name, ctx.Err())
		}
	}
}

// reach is waitFor for an event of our own: when it is not heard within a second it was missed.
func (h *hub) reach(ctx context.Context, position uint64) error {
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := h.waitFor(soon, position); err == nil || ctx.Err() != nil {
		return err
	}
	if err := h.refold(ctx); err != nil {
		return err
	}
	return h.waitFor(ctx, position)
}

// decide lets f decide on the room's state as this edge knows it, appends, and waits until the fold shows it. On a
// conflict it waits for the news and decides again.
func (h *hub) decide(ctx context.Context, traceparent string, f func(*room.State) (room.Draft, error)) error {
	for {
		h.mu.Lock()
		draft, err := room.Draft{}, h.broken
		if err == nil {
			draft, err = f(h.state)
		}
		moved := h.moved
		h.mu.Unlock()
		if err != nil {
			return err
		}
		position, err := h.edge.log.Append(ctx, h.name, draft, traceparent)
		if err == nil {
			return h.reach(ctx, position)
		}
		if !isConflict(err) {
			return err
		}
		select { // the event that was faster is on its way; if it was missed, fold anew
		case <-moved:
		case <-time.After(200 * time.Millisecond):
			if err := h.refold(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return err
		}
	}
}
