package participant

import (
	"airloom/internal/room"
)

// granted takes the rights that this session has from now on, whatever its token says.
func (p *Participant) granted(in *inbound) {
	p.mu.Lock()
	heard := p.session.Grants.Listen
	p.session.Grants = in.Grants
	p.mu.Unlock()
	p.stopUnlessAllowed()
	if p.cfg.Listen && in.Grants.Listen && !heard {
		p.listenAgain()
	}
	p.notice(Notice{Kind: GrantsChanged, Grants: in.Grants})
}

// stopUnlessAllowed fails what is being published where this session may not speak any more: the edge has ended it.
func (p *Participant) stopUnlessAllowed() {
	p.mu.Lock()
	session, speakers := p.session, p.speakers
	p.mu.Unlock()
	if session.MaySpeak() {
		return
	}
	for _, s := range speakers {
		s.fail(ErrMayNotSpeak)
	}
}

// MaySpeak says whether the session's rights and the room's settings let it publish.
func (s Session) MaySpeak() bool {
	return room.Settings{Speak: s.Room.Speak}.MaySpeak(s.Grants)
}

// listenAgain asks for the room's packets, which stopped when the right was taken.
func (p *Participant) listenAgain() {
	r := &request{answer: make(chan answer, 1)} // nobody waits: packets come, or a newer word about the rights
	if _, err := p.post(r, func(id int64) any {
		return struct {
			Type string `json:"type"`
			ID   int64  `json:"id"`
			On   bool   `json:"on"`
		}{"listen", id, true}
	}); err != nil {
		p.log.Debug("not listening again", "err", err)
	}
}
