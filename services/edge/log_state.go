package edge

import "airloom/internal/room"

// tellLog tells speakers that the log went away or has caught up, and asks again for what was forgotten meanwhile.
func (e *Edge) tellLog(away bool) {
	e.mu.Lock()
	tracks := make([]*track, 0, len(e.tracks))
	for t := range e.tracks {
		tracks = append(tracks, t)
	}
	e.mu.Unlock()
	e.logger.Warn("the audio log", "away", away)
	if !away {
		for _, t := range tracks {
			t.resend()
		}
		for _, h := range e.openHubs() { // also whose tracks have ended meanwhile
			for _, s := range h.sessionsNow() {
				s.tellLog(false)
			}
		}
		return
	}
	told := map[*session]bool{}
	for _, t := range tracks {
		if !told[t.session] && t.session.hub.info().Keep != room.KeepNone {
			told[t.session] = true
			t.session.tellLog(true)
		}
	}
}

// tellLog tells a session that the log is away, or, if it was told that, that it is back.
func (s *session) tellLog(away bool) {
	s.mu.Lock()
	news := away || s.unkept
	s.unkept = away
	s.mu.Unlock()
	switch {
	case away:
		s.send(text(logMessage{Type: "log", State: "away"}))
	case news:
		s.send(text(logMessage{Type: "log", State: "ok"}))
	}
}
