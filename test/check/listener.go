package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"airloom/internal/participant"
)

// listener hears a room live, leaves and comes again.
type listener struct {
	run  *run
	name string
	room string
	dice *rand.Rand

	mu    sync.Mutex
	heard int
	past  []stay   // its sessions, once they are over
	wrong []string // what broke the promise of order
	stays *participant.Participant
}

type numbered struct {
	handle uint32
	epoch  uint8
}

// listen goes on until calm; who is there then stays until stop is closed.
func (l *listener) listen(ctx context.Context, stop <-chan struct{}) error {
	for {
		last, mark := map[numbered]int64{}, &arrival{at: time.Now()}
		p, err := l.run.join(ctx, participant.Config{Room: l.room, Listen: true, Hear: func(in *participant.Incoming, h participant.Heard) {
			l.hear(last, in, h)
		}, Notice: mark.notice}, l.name)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		mark.edge = p.Session().Edge
		select {
		case <-l.run.after(l.dice, 4, 20):
		case <-p.Done():
		case <-ctx.Done():
		case <-l.run.calm:
		}
		if l.run.isCalm() && p.Err() == nil {
			defer l.keep(p, mark)
			return l.stay(ctx, p, stop)
		}
		if ctx.Err() != nil {
			p.Close()
			return ctx.Err()
		}
		if l.dice.IntN(4) == 0 {
			p.Close() // without a word
			l.keep(p, mark)
			continue
		}
		leaving, cancel := context.WithTimeout(ctx, l.run.patience)
		_ = p.Leave(leaving) // in a fault the edge ends the session by itself
		cancel()
		l.keep(p, mark)
	}
}

// stay is for the rosters: this one must be in them.
func (l *listener) stay(ctx context.Context, p *participant.Participant, stop <-chan struct{}) error {
	l.mu.Lock()
	l.stays = p
	l.mu.Unlock()
	select {
	case <-stop:
	case <-ctx.Done():
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.run.patience)
	defer cancel()
	if err := p.Leave(leaving); err != nil {
		return fmt.Errorf("%s: leave at the end: %w", l.name, err)
	}
	return nil
}

// hear holds what comes against what came before.
func (l *listener) hear(last map[numbered]int64, in *participant.Incoming, h participant.Heard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := numbered{in.Handle, h.Epoch}
	if before, ok := last[at]; ok && int64(h.Seq) <= before {
		l.complain("%s heard seq %d of epoch %d of track %d after seq %d", l.name, h.Seq, h.Epoch, in.Handle, before)
	}
	last[at] = int64(h.Seq) + int64(h.Span) - 1
	if h.Payload == nil {
		return
	}
	l.heard++
	if _, seq, err := heardSound(h.Payload); err != nil || seq != h.Seq {
		l.complain("%s heard bytes at seq %d of track %d that were never said there", l.name, h.Seq, in.Handle)
	}
}

// complain keeps the first few; the caller holds mu.
func (l *listener) complain(format string, args ...any) {
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
	}
}
