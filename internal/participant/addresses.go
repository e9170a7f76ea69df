package participant

import (
	"context"
	"errors"
	"strings"
	"time"
)

// Addresses are those of a list of edges: one, or several with commas. There is always one.
func Addresses(list string) (all []string) {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); one != "" {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return []string{list} // for whoever opens it to say what is wrong with it
	}
	return all
}

// targets are the edges that a participant may go to. Any will do, so one that fails is left for the next. Participant.dialing guards it once
// Join has returned.
type targets struct {
	sockets []string
	at      int
}

func newTargets(list string) (*targets, error) {
	t := &targets{}
	for _, one := range Addresses(list) {
		target, err := socketURL(one)
		if err != nil {
			return nil, err
		}
		t.sockets = append(t.sockets, target)
	}
	return t, nil
}

func (t *targets) now() string { return t.sockets[t.at%len(t.sockets)] }
func (t *targets) next()       { t.at++ }

// patience is how long one edge may take to answer a handshake: a frozen one lets it begin, and where there are others nobody has to
// wait for it.
func (t *targets) patience() time.Duration {
	if len(t.sockets) > 1 {
		return 2 * time.Second
	}
	return handshakeWithin
}

// first opens a socket at the first edge that takes the participant in. What an edge says about the participant itself, others would
// say too.
func (p *Participant) first(ctx context.Context) (*link, error) {
	for range p.targets.sockets[1:] {
		l, err := p.open(ctx)
		var refused *Error
		if err == nil || ctx.Err() != nil || errors.As(err, &refused) && refused.final() {
			return l, err
		}
		p.log.Debug("joining failed", "edge", p.targets.now(), "err", err)
		p.targets.next()
	}
	return p.open(ctx)
}
