// Package participant is a participant in a room over WebSocket, as docs/wire.md has it: for the command line, for
// load and for tests. It joins, comes back with its resume secret, moves from edge to edge, publishes tracks until all
// is acked, and puts in order what it hears.
//
// It never decodes or makes sound, writes no file and prints nothing.
package participant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Participant is in the room from Join until Leave, Close, or a refusal that is final.
type Participant struct {
	cfg     Config
	targets *targets // guarded by dialing
	log     *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	done   chan struct{} // closed when every goroutine is gone
	wake   chan struct{} // has room for one: there is something to send

	dialing  sync.Mutex // one attempt to get a socket at a time
	noticing sync.Mutex // one notice at a time, though two sockets are read while the participant moves; taken before hearing and mu
	hearing  sync.Mutex // guards receiver; taken before mu
	receiver *Receiver

	mu       sync.Mutex // guards what follows
	link     *link      // nil while away
	greeting bool       // a hello is on its way, and has said how far all is acked: see moved.go
	token    Token
	session  Session
	resume   string
	people   map[string]room.Participant
	lastID   int64
	pending  map[int64]*request
	speakers []*Speaker
	over     []trackEnd // the newest tracks that have ended, at most maxOver
	past     past
	rtt      time.Duration
	offset   time.Duration
	leaving  bool
	err      error
}

// Session is what the edge said of this stay.
type Session struct {
	Session  string
	Identity string
	Name     string
	Grants   room.Grants
	Room     room.Info
	Edge     string
	Region   string
}

// Join gets a token where there is none, opens the socket and waits for the welcome. Its errors are a *Problem (REST or
// handshake refused), an *Error (the edge refused) or those of the network. ctx bounds joining only: end with Leave or
// Close.
func Join(ctx context.Context, cfg Config) (*Participant, error) {
	if err := subject.Room(cfg.Room); err != nil {
		return nil, err
	}
	edges, err := newTargets(cfg.URL)
	if err != nil {
		return nil, err
	}
	p := newParticipant(cfg, edges)
	if err := p.fetchToken(ctx, false); err != nil {
		p.cancel()
		return nil, err
	}
	l, err := p.first(ctx)
	if err != nil {
		p.cancel()
		return nil, err
	}
	p.work.Add(2)
	go p.serve(l)
	go p.pump()
	go func() {
		p.work.Wait()
		close(p.done)
	}()
	return p, nil
}

func newParticipant(cfg Config, edges *targets) *Participant {
	cfg.defaults()
	p := &Participant{
		cfg: cfg, targets: edges, log: cfg.Logger, token: Token{Token: cfg.Token},
		done: make(chan struct{}), wake: make(chan struct{}, 1), receiver: NewReceiver(),
		people: map[string]room.Participant{}, pending: map[int64]*request{},
	}
	p.receiver.Deliver = cfg.Hear
	if cfg.From != "live" {
		p.past.from, p.past.rate = cfg.From, cfg.Rate
	}
	p.receiver.InPast(p.past.from != "")
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Done is closed when the participant is out of the room and every goroutine of it is gone; Err then says why.
func (p *Participant) Done() <-chan struct{} { return p.done }

// Err is why the participant is out: ErrLeft, an *Error, or the last error of the network. Nil while it is in.
func (p *Participant) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Session is what the edge said of this stay.
func (p *Participant) Session() Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// keeps tells whether the room's sound is kept; where it is not, nothing is ever acked.
func (p *Participant) keeps() bool { return p.Session().Room.Keep != room.KeepNone }

// Participants is the roster as it was told last, in no order.
func (p *Participant) Participants() []room.Participant {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]room.Participant, 0, len(p.people))
	for _, one := range p.people {
		all = append(all, one)
	}
	return all
}

// RTT is the last round trip to the edge, 0 when none was measured yet; offset is how far the edge's clock is ahead.
func (p *Participant) RTT() (rtt, offset time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt, p.offset
}

// Received calls f with the Receiver while nothing is being received; f must not keep it.
func (p *Participant) Received(f func(*Receiver)) {
	p.hearing.Lock()
	defer p.hearing.Unlock()
	f(p.receiver)
}

// Leave ends the session: its tracks end, nobody may resume it.
func (p *Participant) Leave(ctx context.Context) error {
	p.mu.Lock()
	p.leaving = true
	p.mu.Unlock()
	_, err := p.request(ctx, func(id int64) any { return leave{Type: "leave", ID: id} })
	p.Close()
	if errors.Is(err, ErrLeft) { // the close after the answer came first
		return nil
	}
	return err
}

// Close drops the socket without leaving (the edge will hold the session as away for a while) and waits for every
// goroutine to end.
func (p *Participant) Close() {
	p.end(ErrLeft)
	<-p.done
}

// end makes the participant stop, for the first reason given.
func (p *Participant) end(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	l, speakers := p.link, p.speakers
	p.link = nil
	for id, r := range p.pending {
		delete(p.pending, id)
		r.fail(p.err)
	}
	p.mu.Unlock()
	for _, s := range speakers {
		s.fail(err)
	}
	p.cancel()
	if l != nil {
		l.close(1000)
	}
}

func (p *Participant) notice(n Notice) {
	p.noticing.Lock()
	defer p.noticing.Unlock()
	p.tell(n)
}

// tell gives a notice. The caller holds noticing.
func (p *Participant) tell(n Notice) {
	if p.cfg.Notice != nil {
		p.cfg.Notice(n)
	}
}

// fetchToken makes sure that there is a token good for a while yet; renew gets a newer one in any case.
func (p *Participant) fetchToken(ctx context.Context, renew bool) error {
	p.mu.Lock()
	had := p.token
	p.mu.Unlock()
	soon := !had.Expires.IsZero() && time.Until(had.Expires) < 30*time.Second
	if p.cfg.Tokens == nil || had.Token != "" && !renew && !soon {
		return nil
	}
	got, err := p.cfg.Tokens(ctx, had.Identity)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.token = got
	p.mu.Unlock()
	return nil
}

// unitOf turns a frame duration in ms into units of 2.5 ms.
func unitOf(frameMS float64) (uint8, error) {
	for _, ms := range []float64{2.5, 5, 10, 20, 40, 60} {
		if ms == frameMS {
			return uint8(ms / 2.5), nil
		}
	}
	return 0, fmt.Errorf("frames of %g ms: %w (use 2.5, 5, 10, 20, 40 or 60)", frameMS, frame.ErrOpus)
}
