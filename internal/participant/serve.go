package participant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"airloom/internal/room"

	"github.com/gorilla/websocket"
)

// open dials, says hello and makes the new socket the participant's. On an error nothing has changed.
func (p *Participant) open(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin+welcomeWithin)
	defer cancel()
	l, err := dial(ctx, p.targets.now(), p.targets.patience())
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { l.ws.Close() })
	welcome, err := l.greet(p.hello())
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = p.adopt(l, welcome)
	}
	if err != nil {
		p.stay()
		l.close(websocket.CloseNormalClosure)
		return nil, err
	}
	return l, nil
}

func (p *Participant) hello() hello {
	p.mu.Lock()
	p.greeting = true
	speakers := p.speakers
	p.mu.Unlock()
	tracks := named(speakers) // not under mu: End asks for the room's settings under a speaker's
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastID++
	h := hello{
		Type: "hello", ID: p.lastID, Protocol: 1, Token: p.token.Token, Room: p.cfg.Room,
		Listen: p.cfg.Listen, Name: p.cfg.Name, Resume: p.resume, Agent: p.cfg.Agent,
	}
	h.From, h.Rate = p.place(time.Now())
	if p.resume != "" {
		h.Tracks = tracks
	}
	return h
}

// adopt takes in what a welcome says and puts l in the place of the socket there was, which is closed.
func (p *Participant) adopt(l *link, w *inbound) error {
	info, tracks, err := decodeWelcome(w)
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return p.err
	}
	old := p.link
	p.link, p.greeting = l, false
	p.resume = w.Resume
	p.session = Session{
		Session: w.Session, Identity: w.Identity, Name: w.Name, Grants: w.Grants, Room: info, Edge: w.Edge, Region: w.Region,
	}
	p.token.Identity = w.Identity
	if w.ExpiresUnix > 0 {
		p.token.Expires = time.Unix(w.ExpiresUnix, 0)
	}
	speakers := p.speakers
	p.mu.Unlock()
	if w.Roster != nil {
		p.takeRoster(w.Roster, true)
	}
	p.goOn()
	p.stopUnlessAllowed()
	for _, s := range speakers {
		s.follow(info.Keep != room.KeepNone)
	}
	p.adoptTracks(l, speakers, tracks, w)
	p.repeat(l, tracks)
	p.kick()
	if old != nil {
		old.close(websocket.CloseNormalClosure)
	}
	return nil
}

func decodeWelcome(w *inbound) (info room.Info, tracks []ownTrack, err error) {
	if len(w.Room) > 0 {
		if err := json.Unmarshal(w.Room, &info); err != nil {
			return info, nil, fmt.Errorf("decode the room in the welcome: %w", err)
		}
	}
	if len(w.Tracks) > 0 {
		if err := json.Unmarshal(w.Tracks, &tracks); err != nil {
			return info, nil, fmt.Errorf("decode the tracks in the welcome: %w", err)
		}
	}
	return info, tracks, nil
}

// adoptTracks tells every speaker how much of its track this edge knows to be durable.
func (p *Participant) adoptTracks(l *link, speakers []*Speaker, tracks []ownTrack, w *inbound) {
	for _, s := range speakers {
		if !w.Resumed {
			s.acked(s.turn(l))
			s.fail(ErrSessionLost)
			p.drop(s)
			continue
		}
		s.reattach(l, tracks, w.Over)
	}
}

// serve reads a socket until it is superseded or the participant ends; when it breaks, serve gets the next one.
func (p *Participant) serve(l *link) {
	defer p.work.Done()
	for {
		err := p.read(l)
		_ = l.ws.Close()
		p.mu.Lock()
		superseded, leaving := p.link != l, p.leaving
		if !superseded {
			p.link = nil
		}
		p.mu.Unlock()
		if superseded || p.ctx.Err() != nil {
			return
		}
		var refused *Error
		switch {
		case leaving:
			p.end(ErrLeft)
			return
		case errors.As(err, &refused) && refused.final():
			p.end(err)
			return
		}
		p.notice(Notice{Kind: Lost, Err: err})
		if l, err = p.comeBack(); err != nil {
			p.end(err)
			return
		}
		p.notice(Notice{Kind: Back})
		if l == nil {
			return // a move was faster, and has a goroutine of its own
		}
	}
}

// comeBack opens another socket, again and again until Patience ends. It returns nil where there is one already.
func (p *Participant) comeBack() (*link, error) {
	p.dialing.Lock()
	defer p.dialing.Unlock()
	var wait backoff
	p.targets.next() // the one that was lost may be dead, and not know it
	deadline := time.Now().Add(p.cfg.Patience)
	for {
		if p.current() != nil {
			return nil, nil
		}
		if err := sleep(p.ctx, wait.next()); err != nil {
			return nil, ErrLeft
		}
		l, err := p.attempt()
		var refused *Error
		switch {
		case err == nil:
			return l, nil
		case p.ctx.Err() != nil:
			return nil, ErrLeft
		case errors.As(err, &refused) && refused.final():
			return nil, err
		case time.Now().After(deadline):
			return nil, fmt.Errorf("no edge for %s: %w", p.cfg.Patience, err)
		}
		p.log.Debug("coming back failed", "edge", p.targets.now(), "err", err)
		p.targets.next()
	}
}

func (p *Participant) attempt() (*link, error) {
	if err := p.fetchToken(p.ctx, false); err != nil {
		return nil, err
	}
	return p.open(p.ctx)
}

// move opens the next socket while this one still works (docs/wire.md, `move`).
func (p *Participant) move(l *link) {
	defer p.work.Done()
	p.dialing.Lock()
	defer p.dialing.Unlock()
	if p.current() != l {
		return // it broke meanwhile, and serve has seen to it
	}
	p.targets.next() // this one is going away
	next, err := p.attempt()
	if err != nil {
		p.log.Debug("move failed", "err", err) // the old socket goes on; the edge will close it in the end
		return
	}
	p.work.Add(1)
	go p.serve(next)
}

// read takes messages until the socket ends.
func (p *Participant) read(l *link) error {
	var said *Error
	buf := make([]byte, 0, 8<<10)
	for {
		kind, message, err := l.next(buf)
		if err != nil {
			if refused := refusal(err, said); refused != nil {
				return refused
			}
			if l.dead.Load() {
				return errSilent
			}
			return err
		}
		buf = message
		if kind == websocket.BinaryMessage {
			now := time.Now().UnixMicro()
			p.hearing.Lock()
			p.receiver.Message(message, now)
			p.hearing.Unlock()
			p.sounded(time.UnixMicro(now))
			continue
		}
		if fatal := p.text(l, message); fatal != nil {
			said = fatal
		}
	}
}

func (p *Participant) current() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.link
}
