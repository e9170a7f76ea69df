package edge

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"airloom/internal/room"
	"airloom/internal/strict"
)

const (
	protocolVersion = 1
	controlDepth    = 8
	requestWithin   = 4 * time.Second
	maxQueue        = 20
	endWithin       = 20 * time.Second
)

// control takes a text message: a request.
func (s *socket) control(b []byte) {
	var head struct {
		Type string `json:"type"`
		ID   uint64 `json:"id"`
	}
	if !utf8.Valid(b) {
		s.conn.close(1007, "text is not UTF-8")
		return
	}
	if err := strict.Check(b, controlDepth); err != nil {
		s.strike(strike("bad_message", "%v", err), closePolicy)
		return
	}
	if err := json.Unmarshal(b, &head); err != nil || head.ID == 0 {
		s.strike(strike("bad_message", "a request has a type and an id of at least 1"), closePolicy)
		return
	}
	if (s.session.Load() == nil) != (head.Type == "hello") {
		s.fail(refuse("bad_message", closePolicy, "hello comes first, and once"), head.ID)
		return
	}
	if !s.rate.Allow() {
		s.fail(refuse("rate", closePolicy, "too many requests: at most 20 at once and 5 a second"), head.ID)
		return
	}
	if fresh, frame := s.requests.begin(head.ID); !fresh {
		if frame != nil {
			s.conn.send(frame)
		}
		return
	}
	if head.Type == "hello" {
		s.hello(b)
		return
	}
	s.dispatch(head.Type, head.ID, b)
}

// dispatch runs what is quick at once and queues what waits for the log.
func (s *socket) dispatch(kind string, id uint64, b []byte) {
	session := s.session.Load()
	switch kind {
	case "ping":
		request(s, id, b, func(r pingRequest) {
			s.answer(id, pongMessage{Type: "pong", Re: id, T: r.T, UnixUS: time.Now().UnixMicro()})
		})
	case "listen":
		request(s, id, b, func(r listenRequest) {
			if r.On && !session.grants().Listen {
				s.fail(refuse("forbidden", 0, "this token does not allow listening"), id)
				return
			}
			session.hub.listen(s.conn, r.On)
			s.ok(id)
		})
	case "refresh":
		request(s, id, b, func(r refreshRequest) { s.done(id, s.edge.refresh(session, r.Token)) })
	case "track.start":
		request(s, id, b, func(r trackStartRequest) { s.later(id, func(ctx context.Context) { s.startTrack(ctx, session, r) }) })
	case "track.mute":
		request(s, id, b, func(r trackMuteRequest) {
			s.later(id, func(ctx context.Context) { s.done(id, session.mute(ctx, r.Track, r.Muted)) })
		})
	case "gap":
		request(s, id, b, func(r gapRequest) {
			s.later(id, func(ctx context.Context) { s.done(id, session.gap(ctx, r)) })
		})
	case "track.end": // may wait for acks: other requests don't wait for it
		request(s, id, b, func(r trackEndRequest) {
			s.edge.background(func(ctx context.Context) { s.done(id, session.endTrack(ctx, r)) })
		})
	case "leave":
		request(s, id, b, func(leaveRequest) {
			s.later(id, func(ctx context.Context) { s.leave(ctx, session, id) })
		})
	default:
		s.strike(strike("bad_message", "unknown type %.40q", kind), closePolicy)
	}
}

// request decodes b strictly and runs f.
func request[R any](s *socket, id uint64, b []byte, f func(R)) {
	var r R
	if err := strict.Decode(b, controlDepth, &r); err != nil {
		s.requests.finish(id, nil)
		s.strike(strike("bad_message", "%v", err), closePolicy)
		return
	}
	f(r)
}

// later runs f after the requests before it, off the reading goroutine: frames go on while the log is slow.
func (s *socket) later(id uint64, f func(ctx context.Context)) {
	q := &s.requests
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxQueue {
		go s.fail(refuse("rate", closePolicy, "too many requests waiting"), id)
		return
	}
	q.queue = append(q.queue, func() {
		ctx, cancel := context.WithTimeout(s.edge.ctx, requestWithin)
		defer cancel()
		f(ctx)
	})
	if q.busy {
		return
	}
	q.busy = true
	s.edge.background(func(context.Context) { q.drain() })
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

func (s *socket) answer(id uint64, v any) {
	frame := text(v)
	s.requests.finish(id, frame)
	s.conn.send(frame)
}

func (s *socket) ok(id uint64) { s.answer(id, okMessage{Type: "ok", Re: id}) }

// done answers ok, or why not. "It is so already" is ok: the same request may have reached the log before.
func (s *socket) done(id uint64, err error) {
	if err == nil || errors.Is(err, room.ErrNothingToDo) {
		s.ok(id)
		return
	}
	r := asRefusal(err)
	if isAway(err) {
		s.edge.logger.Warn("request failed", "error", err)
	}
	s.fail(r, id)
}

func (s *socket) startTrack(ctx context.Context, session *session, r trackStartRequest) {
	t, err := session.startTrack(ctx, r)
	if err != nil {
		s.done(r.ID, err)
		return
	}
	s.answer(r.ID, trackMessage{Type: "track", Re: r.ID, Track: t.id, Handle: t.handle, Epoch: r.Epoch})
}

// leave ends the session for good: what is packed goes to the log, then the fact.
func (s *socket) leave(ctx context.Context, session *session, id uint64) {
	session.endTracks()
	err := session.hub.decide(ctx, "", func(state *room.State) (room.Draft, error) { return state.Leave(session.id, room.Bye) })
	if err != nil && !errors.Is(err, room.ErrUnknownSession) {
		s.edge.leave(session.hub, session.id, room.Bye) // goes on trying without the participant
	}
	s.ok(id)
	session.hub.mu.Lock()
	defer session.hub.mu.Unlock()
	session.end(closeNormal, "", "left")
}

func validTrackName(name string) bool {
	return len(name) <= 64 && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
