package participant

import (
	"time"

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
		s.letGo() // else it stays for the edge's last word
	}
}

// MaySpeak says whether the session's rights and the room's settings let it publish.
func (s Session) MaySpeak() bool {
	return room.Settings{Speak: s.Room.Speak}.MaySpeak(s.Grants)
}

// listenAgain asks for the room's packets, which stopped when the right was taken: from the place where this listener was, if it began in the
// past.
func (p *Participant) listenAgain() {
	p.mu.Lock()
	from, rate := p.place(time.Now())
	p.mu.Unlock()
	r := &request{answer: make(chan answer, 1)}
	_, err := p.post(r, func(id int64) any { // under mu
		p.past.again = id
		return listen{Type: "listen", ID: id, On: true, From: from, Rate: rate}
	})
	if err != nil {
		p.log.Debug("not listening again", "err", err)
		return
	}
	if from == "" {
		return // nobody waits: packets come, or a newer word about the rights
	}
	p.work.Add(1)
	go p.orLive(r)
}

// orLive listens live where the place that was asked for is not kept any more.
func (p *Participant) orLive(r *request) {
	defer p.work.Done()
	select {
	case got := <-r.answer:
		if IsCode(got.err, "not_kept") {
			p.noPast()
			p.listenAgain()
		}
	case <-p.ctx.Done():
	}
}
