package participant

import (
	"context"
	"fmt"
	"slices"
)

// maxPending bounds the requests waiting for an answer, maxOver the tracks whose end may still have to be said again: an edge lets a session have
// eight at a time.
const (
	maxPending = 256
	maxOver    = 64
)

// request is one that waits for its answer. It is sent again under the same id on the next socket, where the edge
// gives the same answer without doing it twice (docs/wire.md section 3).
type request struct {
	message any
	answer  chan answer // has room for the one answer
}

type answer struct {
	in  *inbound
	err error
}

func (r *request) fail(err error) { r.answer <- answer{err: err} }

// request sends what message makes of an id and waits for its answer. An *Error is the edge's refusal. While there is
// no socket the request waits for the next one.
func (p *Participant) request(ctx context.Context, message func(id int64) any) (*inbound, error) {
	r := &request{answer: make(chan answer, 1)}
	id, err := p.post(r, message)
	if err != nil {
		return nil, err
	}
	select {
	case got := <-r.answer:
		return got.in, got.err
	case <-ctx.Done():
		p.mu.Lock()
		delete(p.pending, id)
		p.mu.Unlock()
		return nil, fmt.Errorf("wait for the edge's answer: %w", ctx.Err())
	}
}

// post registers and sends a request.
func (p *Participant) post(r *request, message func(id int64) any) (id int64, err error) {
	p.mu.Lock()
	if p.err != nil {
		defer p.mu.Unlock()
		return 0, p.err
	}
	if len(p.pending) >= maxPending {
		p.mu.Unlock()
		return 0, fmt.Errorf("%d requests are waiting for an answer", maxPending)
	}
	p.lastID++
	id = p.lastID
	r.message = message(id)
	p.pending[id] = r
	l := p.link
	p.mu.Unlock()
	if l != nil {
		if err := l.writeJSON(r.message); err != nil {
			p.log.Debug("request not sent", "err", err) // it will be on the next socket
		}
	}
	return id, nil
}

// answer hands an answer to the request it belongs to; false where there is none.
func (p *Participant) answer(in *inbound) bool {
	if in.Type == "pong" {
		p.pong(in)
	}
	p.mu.Lock()
	r := p.pending[in.Re]
	delete(p.pending, in.Re)
	p.mu.Unlock()
	if r == nil {
		return false
	}
	got := answer{in: in}
	if in.Type == "error" {
		got.err = &Error{Code: in.Code, Message: in.Message}
	}
	r.answer <- got
	return true
}

// repeat sends on a new socket what is still without an answer. A track whose start was carried out, though the answer
// was lost with an edge, is among the tracks of the welcome: it is answered from there. So is one whose end was lost, if the edge that took it died
// while the log was away: that is ended once more, and is not taken for the one that is being started.
func (p *Participant) repeat(l *link, tracks []ownTrack) {
	p.mu.Lock()
	known := map[string]bool{}
	for _, s := range p.speakers {
		known[s.id] = true
	}
	var again []any
	for _, end := range p.over {
		known[end.Track] = true
		if slices.ContainsFunc(tracks, func(t ownTrack) bool { return t.Track == end.Track }) && !p.asks(end.Track) {
			p.lastID++
			end.ID = p.lastID // nobody waits for the answer
			again = append(again, end)
		}
	}
	for id, r := range p.pending {
		start, ok := r.message.(trackStart)
		i := len(tracks)
		if ok {
			i = indexTrack(tracks, start.Name, known)
		}
		if i == len(tracks) {
			again = append(again, r.message)
			continue
		}
		known[tracks[i].Track] = true
		delete(p.pending, id)
		r.answer <- answer{in: &inbound{Type: "track", Track: tracks[i].Track, Handle: tracks[i].Handle, Epoch: tracks[i].Epoch}}
	}
	p.mu.Unlock()
	for _, message := range again {
		if err := l.writeJSON(message); err != nil {
			p.log.Debug("request not repeated", "err", err) // the reader will see that the socket is gone
			return
		}
	}
}

// asks says whether the end of a track is asked for and not answered. The caller holds mu.
func (p *Participant) asks(track string) bool {
	for _, r := range p.pending {
		if end, ok := r.message.(trackEnd); ok && end.Track == track {
			return true
		}
	}
	return false
}

func indexTrack(tracks []ownTrack, name string, known map[string]bool) int {
	for i, t := range tracks {
		if t.Name == name && !known[t.Track] {
			return i
		}
	}
	return len(tracks)
}
