package participant

import (
	"encoding/json"
	"errors"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// text takes one JSON message. It returns the edge's words when they are fatal: the close follows.
func (p *Participant) text(l *link, message []byte) (fatal *Error) {
	in := &inbound{}
	if err := json.Unmarshal(message, in); err != nil {
		p.log.Debug("message does not decode", "err", err)
		return nil
	}
	switch in.Type {
	case "ok", "track", "pong":
		p.answer(in)
	case "error":
		return p.refused(in)
	case "ack", "resend", "closed":
		p.track(l, in)
	case "log":
		p.logState(in.State == "away")
	case "room":
		p.roomChanged(in)
	case "grants":
		p.granted(in)
	case "roster":
		p.takeRoster(&in.roster, false)
		p.notice(Notice{Kind: RosterChanged})
	case "speaking":
		changed := map[string]bool{}
		if json.Unmarshal(in.Tracks, &changed) == nil {
			p.notice(Notice{Kind: SpeakingChanged, Speaking: changed})
		}
	case "skipped":
		p.skipped(in)
	case "playback":
		p.played(l, in)
	case "token":
		p.work.Add(1)
		go p.refresh()
	case "move":
		p.work.Add(1)
		go p.move(l)
	}
	return nil // an unknown type is a newer edge's and is passed over
}

func (p *Participant) refused(in *inbound) *Error {
	said := &Error{Code: in.Code, Message: in.Message}
	switch {
	case in.Re != 0 && p.answer(in):
	default:
		if in.Code == "not_kept" {
			p.noPast()
		}
		p.notice(Notice{Kind: Refused, Err: said})
	}
	if in.Fatal {
		return said
	}
	return nil
}

func (p *Participant) track(l *link, in *inbound) {
	p.mu.Lock()
	speakers := p.speakers
	p.mu.Unlock()
	for _, s := range speakers {
		if s.id != in.Track || s.epoch != in.Epoch {
			continue
		}
		switch in.Type {
		case "ack":
			s.ackedBy(l, in.Seq)
		case "resend":
			s.resend(in.From)
		case "closed":
			s.closed(in.Acked, in.Kept)
		}
	}
}

func (p *Participant) logState(away bool) {
	p.mu.Lock()
	speakers := p.speakers
	p.mu.Unlock()
	for _, s := range speakers {
		s.setLogAway(away)
	}
	kind := LogOK
	if away {
		kind = LogAway
	}
	p.notice(Notice{Kind: kind})
	p.kick()
}

func (p *Participant) roomChanged(in *inbound) {
	var info room.Info
	if err := json.Unmarshal(in.Room, &info); err != nil {
		p.log.Debug("room does not decode", "err", err)
		return
	}
	p.mu.Lock()
	p.session.Room = info
	speakers := p.speakers
	p.mu.Unlock()
	for _, s := range speakers {
		s.follow(info.Keep != room.KeepNone)
	}
	p.stopUnlessAllowed()
	p.notice(Notice{Kind: RoomChanged})
}

func (p *Participant) skipped(in *inbound) {
	var ranges []skippedRange
	if err := json.Unmarshal(in.Tracks, &ranges); err != nil {
		return
	}
	p.hearing.Lock()
	for _, gap := range ranges {
		if handle, ok := frame.ParseTrackID(gap.Track); ok {
			p.receiver.Skip(handle, gap.Epoch, gap.From, gap.To)
		}
	}
	p.hearing.Unlock()
	p.notice(Notice{Kind: Skipped, Gap: in.Reason == "gap"})
}

// takeRoster amends or replaces the roster and names tracks to the receiver. welcome says that it is the one that came
// with the welcome: what it names may have been going on before.
func (p *Participant) takeRoster(r *roster, welcome bool) {
	p.mu.Lock()
	own := p.session.Session
	gone := p.amend(r)
	p.mu.Unlock()
	p.hearing.Lock()
	defer p.hearing.Unlock()
	for _, person := range r.Participants {
		if person.Session == own {
			continue
		}
		for _, track := range person.Tracks {
			p.receiver.Announce(track, person.Identity, person.Name, !welcome)
		}
	}
	for _, handle := range gone {
		if t := p.receiver.tracks[handle]; t != nil {
			p.receiver.end(t)
		}
	}
}

// amend changes p.people and returns the handles of tracks that are no longer there.
func (p *Participant) amend(r *roster) (gone []uint32) {
	before := map[uint32]bool{}
	collect := func(one room.Participant) {
		for _, t := range one.Tracks {
			before[t.Handle] = true
		}
	}
	if r.Full {
		for id, one := range p.people {
			collect(one)
			delete(p.people, id)
		}
	}
	for _, id := range r.Gone {
		collect(p.people[id])
		delete(p.people, id)
	}
	for _, one := range r.Participants {
		collect(p.people[one.Session])
		p.people[one.Session] = one
	}
	for _, one := range r.Participants {
		for _, t := range one.Tracks {
			delete(before, t.Handle)
		}
	}
	for handle := range before {
		gone = append(gone, handle)
	}
	return gone
}

// refresh gets a newer token and hands it in.
func (p *Participant) refresh() {
	defer p.work.Done()
	if p.cfg.Tokens == nil {
		p.notice(Notice{Kind: TokenEnd, Err: errors.New("the token is about to end, and nothing here can get a newer one")})
		return
	}
	if err := p.fetchToken(p.ctx, true); err != nil {
		p.notice(Notice{Kind: TokenEnd, Err: err})
		return
	}
	p.mu.Lock()
	token := p.token.Token
	p.mu.Unlock()
	if _, err := p.request(p.ctx, func(id int64) any { return refresh{Type: "refresh", ID: id, Token: token} }); err != nil {
		p.notice(Notice{Kind: TokenEnd, Err: err})
	}
}

// pong notes the round trip of a ping that was sent at in.T (µs since 1970).
func (p *Participant) pong(in *inbound) {
	now := time.Now().UnixMicro()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rtt = time.Duration(max(0, now-in.T)) * time.Microsecond
	if in.UnixMicro != 0 {
		p.offset = time.Duration(in.UnixMicro-in.T)*time.Microsecond - p.rtt/2
	}
}
