package edge

import (
	"slices"
	"sync"
)

// playing is a socket's place in the past, if it has one.
type playing struct {
	mu     sync.Mutex // guards all below; taken before a share's lock, never after it
	player *player    // nil while it listens live, or not at all
	laps   uint64     // private rings so far: each counts from a base of its own
}

// listen puts a socket among the listeners, from the live edge on, with what was just heard before it; or takes it out,
// wherever it was. One that listens already, live or in the past, goes on as it does.
func (h *hub) listen(c *conn, on bool) {
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	switch {
	case on && c.past.player == nil:
		h.tune(c, h.ring.head.Load, true)
	case !on:
		c.past.end()
		h.untune(c)
		c.tuned.Store(&tuning{})
	}
}

// goOn is listen for a session that has heard the room on another socket until now: it needs no burst.
func (h *hub) goOn(c *conn) { h.tune(c, h.ring.head.Load, false) }

// play makes p the player of a socket, in the place of what it listened to.
func (h *hub) play(c *conn, p *player) {
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	c.past.end()
	h.untune(c)
	c.past.laps++
	p.wind(c.past.laps << 40)
	c.tuned.Store(&tuning{ring: p.ring, cursor: p.base})
	h.edge.metrics.rewound.Add(1)
	c.past.player = p
	h.edge.background(p.run)
}

// end stops the player there is. The caller holds mu.
func (p *playing) end() {
	if p.player != nil {
		p.player.stop()
		p.player = nil
	}
}

// arrive ends a player: its socket goes on with the room's ring at a slot, or at the live edge with a burst. It returns
// false where another request was faster.
func (h *hub) arrive(c *conn, p *player, cursor func() uint64, burst bool) bool {
	c.past.mu.Lock()
	defer c.past.mu.Unlock()
	if c.past.player != p {
		return false
	}
	c.past.player = nil
	h.tune(c, cursor, burst)
	return true
}

// tune puts a socket among those that hear the room's ring, unless it is. Where it begins and what it is given before that are
// taken at one instant: live packets wait for the share's lock no longer than a writer's pass.
func (h *hub) tune(c *conn, cursor func() uint64, burst bool) {
	share := h.shareOf(c)
	share.mu.Lock()
	defer share.mu.Unlock()
	if slices.Contains(share.conns, c) {
		return
	}
	t := &tuning{ring: h.ring, cursor: cursor()}
	if burst {
		if sound := h.burst(t.cursor, c.session, nanotime()); len(sound) > 0 {
			c.send(message(opBinary, sound))
		}
	}
	c.tuned.Store(t)
	share.conns = append(share.conns, c)
	c.worker.wakeConn(c)
}

func (h *hub) untune(c *conn) {
	share := h.shareOf(c)
	share.mu.Lock()
	defer share.mu.Unlock()
	if at := slices.Index(share.conns, c); at >= 0 {
		share.conns = slices.Delete(share.conns, at, at+1)
	}
}

func (h *hub) shareOf(c *conn) *share {
	for _, s := range h.shares {
		if s.worker == c.worker {
			return s
		}
	}
	return h.shares[0]
}
