package edge

import (
	"encoding/json"
	"slices"
	"time"

	"airloom/internal/room"
)

// broadcast gives one encoded message to every socket of the room. The caller holds mu.
func (h *hub) broadcast(frame []byte) {
	for c := range h.conns {
		c.send(frame)
	}
}

// tellRosterSoon gathers changes for rosterEvery. The caller holds mu.
func (h *hub) tellRosterSoon() {
	if h.pending || len(h.touched) == 0 {
		return
	}
	h.pending = true
	time.AfterFunc(rosterEvery, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.tellRoster()
	})
}

// tellRoster sends the changed entries at once. The caller holds mu.
func (h *hub) tellRoster() {
	h.pending = false
	if len(h.touched) == 0 {
		return
	}
	var changed []room.Participant
	var gone []string
	for id := range h.touched {
		if p, ok := h.state.Participant(id); ok {
			changed = append(changed, p)
		} else {
			gone = append(gone, id)
		}
	}
	clear(h.touched)
	slices.SortFunc(changed, func(a, b room.Participant) int { return a.Joined.Compare(b.Joined) })
	for _, m := range h.rosters(changed, gone) {
		h.broadcast(text(m))
	}
}

// fullRoster is a full roster message and the amendments that did not fit into it.
func (h *hub) fullRoster() []rosterMessage {
	messages := h.rosters(h.state.Roster(), nil)
	messages[0].Full = true
	return messages
}

const (
	rosterBytes = 32 << 10 // of entries in one message: with the largest entry it stays below a text message's 64 KiB
	rosterGone  = 1000
)

// rosters spreads entries over as many messages as they need, at least one. The caller holds mu.
func (h *hub) rosters(entries []room.Participant, gone []string) (messages []rosterMessage) {
	next := func() *rosterMessage {
		n := min(len(gone), rosterGone)
		m := rosterMessage{Type: "roster", Position: h.state.Position, Participants: []json.RawMessage{}, Gone: append([]string{}, gone[:n]...)}
		messages, gone = append(messages, m), gone[n:]
		return &messages[len(messages)-1]
	}
	m, size := next(), 0
	for _, p := range entries {
		entry, err := json.Marshal(p)
		if err != nil {
			panic(err) // strings, numbers and a time always encode
		}
		if size += len(entry); size > rosterBytes && len(m.Participants) > 0 {
			m, size = next(), len(entry)
		}
		m.Participants = append(m.Participants, entry)
	}
	for len(gone) > 0 {
		next()
	}
	return messages
}

// speaks takes the word of the speaker's edge that a track's speaker began, goes on, or ceased to speak.
func (h *hub) speaks(track string, on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.state.Tracks[track]
	if known == nil {
		return
	}
	_, was := h.speaking[known.Track]
	if on {
		h.speaking[known.Track] = nanotime()
	} else {
		delete(h.speaking, known.Track)
	}
	if was != on {
		h.broadcast(text(speakingMessage{Type: "speaking", Tracks: map[string]bool{known.Track: on}}))
	}
}

// hush ends speaking that nobody has repeated.
func (h *hub) hush(now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	silent := map[string]bool{}
	for track, at := range h.speaking {
		if now-at > int64(h.edge.limits.speaking) {
			delete(h.speaking, track)
			silent[track] = false
		}
	}
	if len(silent) > 0 {
		h.broadcast(text(speakingMessage{Type: "speaking", Tracks: silent}))
	}
}

// speakingNow is the full set for a socket that just came. The caller holds mu.
func (h *hub) speakingNow() speakingMessage {
	m := speakingMessage{Type: "speaking", Tracks: map[string]bool{}}
	for track := range h.speaking {
		m.Tracks[track] = true
	}
	return m
}

// react does what an event means for sessions on this edge. The caller holds mu; nothing here waits.
func (h *hub) react(e *room.Event, touches []string) {
	switch f := e.Fact.(type) {
	case room.Left:
		if s := h.sessions[f.Session]; s != nil && f.Reason != room.Bye {
			s.end(closeCodeOf(f.Reason))
		}
	case room.Moved:
		switch s := h.sessions[f.Session]; {
		case s == nil:
		case f.Edge == h.edge.id:
			s.seated = true
		case s.seated: // else it has just asked to come here, and this is an older move
			s.end(closeNormal, "", "moved")
		}
	case room.Away:
		if s := h.sessions[f.Session]; s != nil && f.Edge == h.edge.id {
			h.wasLost(s, f.Reason)
		}
	case room.Joined:
		if s := h.sessions[f.Session]; s != nil {
			s.seated = true
		}
		for _, id := range touches {
			if s := h.sessions[id]; s != nil && id != f.Session {
				s.end(closeCodeOf(room.Replaced))
				h.edge.leave(h, id, room.Replaced)
			}
		}
	case room.TrackStarted:
		if s := h.sessions[f.Session]; s != nil && s.movedHere && e.By != h.edge.id {
			h.endStray(f.Track)
		}
	case room.Granted:
		if s := h.sessions[f.Session]; s != nil {
			h.allow(s, f.By)
		}
	case room.Created, room.Changed, room.Opened:
		h.allowAll()
	case room.TrackClosed:
		h.settleSoon(h.closed(f.Track, f.Through))
	case room.Closed:
		for id := range h.sessions {
			h.edge.leave(h, id, room.RoomClosed)
		}
	}
}

// wasLost is called when the log says that a session of this edge has no socket. The caller holds mu.
func (h *hub) wasLost(s *session, why room.Reason) {
	switch {
	case why == room.EdgeLost: // this edge was taken for dead and has come back: the session may be elsewhere already
		s.end(closeRestart, "restart", "this edge was away")
	case s.hasSocket(): // it resumed while the loss was being appended
		h.edge.until(h, "back", func(state *room.State) (room.Draft, error) {
			if !s.hasSocket() {
				return room.Draft{}, room.ErrNothingToDo
			}
			return state.Move(s.id, h.edge.id)
		})
	}
}
