package edge

import (
	"context"
	"time"

	"airloom/internal/room"
)

// States of playback.
const (
	statePast    = "past"
	stateWaiting = "waiting"
	stateLive    = "live"
)

const (
	tellEvery  = time.Second
	locateWait = 1500 * time.Millisecond // for the log to answer, before the request is answered without it
	retryWait  = 200 * time.Millisecond
	startSlack = time.Minute // how long before the oldest pack a track may have begun that is wanted whole
)

// pastTrack describes a track that the roster may no longer tell of.
type pastTrack struct {
	Track       string  `json:"track"`
	Handle      uint32  `json:"handle"`
	Name        string  `json:"name"`
	Label       string  `json:"label"`
	Channels    int     `json:"channels"`
	FrameMS     float64 `json:"frame_ms"`
	Epoch       uint8   `json:"epoch"`
	Session     string  `json:"session"`
	Identity    string  `json:"identity"`
	Participant string  `json:"participant"`

	Clock *room.Clock `json:"clock"`
}

// locate finds the place that is wanted in what the log has, and answers. While the log does not answer it goes on asking. It
// returns false where the player is over.
func (p *player) locate(ctx context.Context) bool {
	for began := nanotime(); ; {
		known, err := p.reel.kept()
		if err == nil || p.where.kind == fromLive {
			p.settle(known, time.Now())
			return true
		}
		if nanotime()-began > int64(locateWait) && p.state != stateWaiting {
			p.reply(stateWaiting, time.Now())
			p.conn.worker.wakeConn(p.conn)
		}
		if !p.sleep(ctx, retryWait) {
			return false
		}
	}
}

// settle moves a place outside the window to its end.
func (p *player) settle(known windowKnown, now time.Time) {
	p.window = known.window
	at, oldest := p.where.at, now
	if known.From != nil {
		oldest = *known.From
	}
	p.order = newOrder(at.Add(-preroll).UnixNano())
	p.order.from, p.order.reads = at.UnixNano(), !at.Add(-preroll).Before(oldest)
	p.order.live = p.hub.ring.tracks
	switch {
	case p.where.kind == fromTime && at.After(now):
		p.where.kind, p.clamped = fromLive, "after_window"
	case p.where.kind == fromStart && known.From == nil: // the log has nothing yet: all that comes is wanted
		p.order.began, p.order.from, p.order.reads = 0, 0, false
		p.read, p.start = 1, 1
		p.horizon = now.UnixNano()
		p.reply(statePast, now)
		return
	case p.where.kind == fromTime && at.Before(oldest) && known.From != nil:
		p.clamped = "before_window"
		fallthrough
	case p.where.kind == fromStart:
		at, p.read, p.start = oldest, known.oldest, known.oldest
		p.order.began, p.order.from, p.order.reads = oldest.Add(-startSlack).UnixNano(), oldest.UnixNano(), false
	}
	if p.where.kind == fromLive {
		return
	}
	p.from = at.UnixNano()
	p.horizon = p.from + int64(firstFor)
	p.reply(statePast, now)
}

// reply answers the request, once; later it tells a change of state.
func (p *player) reply(state string, now time.Time) {
	m := p.playback(state, now)
	p.state, p.told = state, nanotime()
	p.answering.Lock()
	defer p.answering.Unlock()
	if p.said == nil {
		p.said = p.answer(m)
		p.push(p.said)
		return
	}
	p.push(text(m))
}

// tell tells a change of state.
func (p *player) tell(state string, now int64) {
	if p.state != state && p.room() > 0 {
		p.reply(state, time.Now())
	}
}

// tellEachSecond says where the sound is.
func (p *player) tellEachSecond(now int64) {
	if now-p.told >= int64(tellEvery) && p.room() > 0 {
		p.reply(p.state, time.Now())
	}
}

func (p *player) playback(state string, now time.Time) playbackMessage {
	m := playbackMessage{Type: "playback", State: state, At: now.UTC(), Window: p.window, Rate: p.rate, Clamped: p.clamped}
	if state != stateLive {
		m.At = p.at(now)
		if to := time.Unix(0, p.fed).UTC(); m.Window.To != nil && to.After(*m.Window.To) {
			m.Window.To = &to
		}
	}
	return m
}

// at is the place up to which all has been given.
func (p *player) at(now time.Time) time.Time {
	if p.order == nil {
		if p.where.kind == fromTime {
			return p.where.at.UTC()
		}
		return now.UTC()
	}
	at := min(p.horizon, now.UnixNano(), p.order.earliest())
	switch {
	case len(p.unfed) > 0:
		at = min(at, p.unfed[0].at)
	case !p.head:
		at = min(at, p.fed)
	}
	return time.Unix(0, max(at, p.from)).UTC()
}

// introduce finds out, before the first packet of a track, whose it is, and describes it where the roster does not.
func (p *player) introduce(l *lane) {
	if l.told {
		return
	}
	l.told = true
	h := p.hub
	h.mu.Lock()
	known := h.state.Tracks[l.track]
	described, own, listed := pastTrack{Track: l.track}, false, false
	if known != nil {
		own = known.Session == p.conn.session
		listed = !known.Ended
		described.fill(known.TrackStarted)
		if session := h.state.Sessions[known.Session]; session != nil {
			described.Identity, described.Participant = session.Identity, session.Name
			listed = listed && session.Present()
		}
	}
	h.mu.Unlock()
	if l.own = own; own || listed {
		return
	}
	h.describe(&described)
	l.own = described.Session != "" && described.Session == p.conn.session
	m := p.playback(p.state, time.Now())
	m.Tracks = []pastTrack{described}
	p.push(text(m))
}

func (t *pastTrack) fill(f room.TrackStarted) {
	t.Handle, t.Name, t.Label, t.Channels, t.FrameMS, t.Epoch, t.Session = f.Handle, f.Name, f.Label, f.Channels, f.FrameMS, f.Epoch, f.Session
	t.Clock = f.Clock
}
