package edge

import (
	"context"
	"sync"
)

const (
	maxAnswers = 64 // remembered
	maxWaiters = 4  // for one answer: repeats of a request that is being worked on
	maxQueue   = 20 // requests that wait for the log
)

// requests remembers a session's answers over all its sockets, so that a request that is sent again (after a lost socket, the
// answer with it) is answered and not done a second time.
type requests struct {
	mu      sync.Mutex // guards all below
	answers []answered
	next    int
	queue   []func() // in order
	busy    bool
}

type answered struct {
	id    uint64
	frame []byte    // nil: still being worked on
	to    []*socket // that wait for it
	by    *socket   // the one it is about; nil where it is about the session
}

// begin says whether a request is new; otherwise its answer goes to s, now or when it is there. One that is about the socket alone
// (listen) is new on each.
func (q *requests) begin(id uint64, s *socket, alone bool) (fresh bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.answers {
		a := &q.answers[i]
		switch {
		case a.id != id:
			continue
		case alone && a.by != s:
			*a = answered{id: id, to: []*socket{s}, by: s}
			return true
		case a.frame != nil:
			s.conn.send(a.frame)
		case len(a.to) < maxWaiters:
			a.to = append(a.to, s)
		}
		return false
	}
	if len(q.answers) < maxAnswers {
		q.answers = append(q.answers, answered{})
		q.next = len(q.answers) - 1
	}
	q.answers[q.next] = answered{id: id, to: []*socket{s}}
	if alone {
		q.answers[q.next].by = s
	}
	q.next = (q.next + 1) % maxAnswers
	return true
}

// finish keeps the answer and gives it to all that wait for it; s is where the request came from.
func (q *requests) finish(id uint64, frame []byte, s *socket) {
	if !q.finishFor(id, frame, nil) {
		s.conn.send(frame)
	}
}

// finishFor is finish where one socket gets the answer in another way; false: nobody is known to wait for it.
func (q *requests) finishFor(id uint64, frame []byte, but *socket) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.answers {
		a := &q.answers[i]
		if a.id != id || a.frame != nil || a.by != nil && but != nil && a.by != but { // the last: it is asked anew on another socket
			continue
		}
		for _, waiting := range a.to {
			if waiting != but {
				waiting.conn.send(frame)
			}
		}
		a.frame, a.to = frame, nil
		return true
	}
	return false
}

// later runs f after the requests before it, off the reading goroutine: frames go on while the log is slow. It returns false
// when too many wait.
func (q *requests) later(e *Edge, f func(ctx context.Context)) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxQueue {
		return false
	}
	q.queue = append(q.queue, func() {
		ctx, cancel := context.WithTimeout(e.ctx, requestWithin)
		defer cancel()
		f(ctx)
	})
	if !q.busy {
		q.busy = e.background(func(context.Context) { q.drain() })
	}
	return true
}

func (q *requests) drain() {
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.busy = false
			q.mu.Unlock()
			return
		}
		f := q.queue[0]
		q.queue = q.queue[1:]
		q.mu.Unlock()
		f()
	}
}
