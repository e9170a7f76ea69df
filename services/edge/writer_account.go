package edge

// account moves the cursors past what was written. It returns false when the socket takes no more for now.
func (w *worker) account(c *conn, controls int, now int64) bool {
	wrote, left := w.wrote, 0
	for i, m := range w.messages {
		if wrote < len(m) {
			left = len(w.messages) - i
			break
		}
		wrote -= len(m)
	}
	done := len(w.messages) - left // messages written whole
	partial := left > 0 && wrote > 0
	var partialMessage []byte
	if partial {
		partialMessage = w.messages[done]
		done++ // what remains of it is in rest from now on
	}
	w.advance(c, done, controls)
	switch {
	case partial:
		c.rest = partialMessage[wrote:]
	case done > 0:
		c.rest = nil
	}
	if left == 0 {
		c.stuck = 0
		return true
	}
	w.block(c, now, w.wrote > 0)
	return false
}

// advance forgets the first done of the gathered messages.
func (w *worker) advance(c *conn, done, controls int) {
	if len(c.rest) > 0 && done > 0 {
		done--
	}
	if n := min(done, controls); n > 0 {
		c.dropControl(n)
		done -= n
	}
	w.metrics.delivered.Add(int64(done))
	for _, s := range w.slots {
		if s.session != c.session {
			if done == 0 {
				return
			}
			done--
		}
		c.cursor++
	}
}

func (w *worker) block(c *conn, now int64, progress bool) {
	switch {
	case c.stuck == 0 || progress:
		c.stuck = now
	case now-c.stuck > int64(w.limits.stuck):
		w.metrics.slowClosed.Add(1)
		c.dead = true
		c.net.Close()
		return
	}
	if !c.blocked {
		c.blocked = true
		c.full.Store(true)
		w.blocked = append(w.blocked, c)
	}
}

// skipIfLate moves a listener that is more than two seconds behind, or that the ring has passed, to the live edge and
// tells it which seqs it missed.
func (w *worker) skipIfLate(c *conn, now int64) {
	head := c.ring.head.Load()
	if c.cursor >= head {
		return
	}
	next := c.ring.get(c.cursor)
	if next != nil && now-next.at < int64(w.limits.patience) {
		return
	}
	notice, missed := skipNotice(c.ring, c.session, c.cursor, head)
	c.cursor = head
	if missed == 0 {
		return
	}
	c.skipped += missed
	w.metrics.skipped.Add(int64(missed))
	c.send(notice)
}
