package edge

import (
	"context"
	"errors"
	"time"

	"airloom/internal/room"
)

// A lease is what lets an edge ack: the proof that the log still counts what it is given for a track.
//
// Recorders leave a track open for room.Grace after they have seen its end, by their own clocks, before they fix what counts of it.
// So a pack that is known to be stored within less than that time after the log's leader knew the track as open is
// in every recording, whatever this edge has missed since. The leader is asked again and again; each answer is worth limits.lease,
// counted from when the question was asked. A process that was frozen finds its leases run out.
// See docs/adr/0004-proof-rewind-snapshots.md.

const maxAsking = 32 // rooms whose leader is asked at the same time

// moment is one reading of both clocks: the monotonic one stands still while a machine sleeps, the other one may be set.
type moment struct {
	mono int64
	wall time.Time
}

func momentNow() moment { return moment{nanotime(), time.Now().Round(0)} }

// within says that less than d has passed by either clock.
func (m moment) within(d time.Duration) bool {
	now := momentNow()
	return now.mono-m.mono < int64(d) && now.wall.Sub(m.wall) < d
}

// leased says whether a PubAck that has arrived counts.
func (t *track) leased() bool {
	known := t.known.Load()
	return known != nil && known.within(t.edge.limits.lease)
}

// keepLeases renews the leases of all rooms from which packs go into the log, until ctx ends.
func (e *Edge) keepLeases(ctx context.Context) {
	ticker := time.NewTicker(e.limits.renew)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, h := range e.openHubs() {
			h.renewSoon(false)
		}
	}
}

// renewSoon asks the leader in the background, unless it is being asked or, where that is not wanted in any case, nobody needs it.
func (h *hub) renewSoon(anyway bool) {
	h.mu.Lock()
	needed := len(h.leased) > 0
	kept := h.state.Settings.Keep != room.KeepNone
	h.mu.Unlock()
	if !anyway && (!needed || !kept && h.edge.outbox.empty()) || !h.renewing.CompareAndSwap(false, true) {
		return
	}
	started := h.edge.background(func(ctx context.Context) {
		defer h.renewing.Store(false)
		select {
		case h.edge.asking <- struct{}{}:
			defer func() { <-h.edge.asking }()
			h.renew(ctx)
		case <-ctx.Done():
		}
	})
	if !started {
		h.renewing.Store(false)
	}
}

// renew compares the fold with the log's leader, and notes for the room's tracks that they were open when it was asked.
func (h *hub) renew(ctx context.Context) {
	asked := momentNow()
	last, err := h.edge.log.LastPosition(ctx, h.name)
	if err != nil {
		return // the log is away: acks wait
	}
	switch err := h.prove(ctx, last); {
	case err == nil:
		h.closingMissed(ctx, h.agree(asked, last))
	case errors.Is(err, errMissed) && h.edge.ctx.Err() == nil:
		h.edge.refoldSoon(h)
	}
}

// agree extends the leases of the tracks that the fold, which has all that the leader had when it was asked, knows as open. Those that
// are over wait for their closing; it gives the ones that are closed, as this was missed, or that no recorder will close.
func (h *hub) agree(asked moment, last uint64) (closed []string) {
	h.mu.Lock()
	if h.folding || h.broken != nil || h.whole < last || !asked.within(h.edge.limits.lease) {
		h.mu.Unlock()
		return nil
	}
	var open []*track
	for t := range h.leased {
		known := h.state.Tracks[t.id]
		if known != nil && t.isOver(known) && !h.edge.outbox.has(t) {
			delete(h.leased, t)
			if t.isOwed() {
				t.tellClosed() // nothing is missing: no closing has to be waited for
			}
			continue
		}
		switch {
		case known != nil && !known.Ended:
			t.known.Store(&asked)
			open = append(open, t)
		case known == nil, known.Closed, !h.recorded() && t.isEnded() && !h.edge.outbox.has(t):
			closed = append(closed, t.id)
		}
	}
	h.mu.Unlock()
	for _, t := range open {
		h.edge.outbox.release(t)
	}
	return closed
}

// recorded says that a recorder closes the room's tracks when they are over. The caller holds mu.
func (h *hub) recorded() bool {
	return h.state.Settings.Keep == room.KeepRecord || h.state.Recording != ""
}

func (t *track) isEnded() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}
