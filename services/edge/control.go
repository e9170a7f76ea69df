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
	maxID           = 1<<53 - 1 // what every JSON reader holds exactly
	endWithin       = 20 * time.Second
)

// control takes a text message: a request.
func (s *socket) control(b []byte) {
	var head struct {
		Type string `json:"type"`
		ID   uint64 `json:"id"`
	}
	if err := strict.Check(b, controlDepth); err != nil {
		s.strike(strike("bad_message", "%v", err), closePolicy, 0)
		return
	}
	if err := json.Unmarshal(b, &head); err != nil || head.ID == 0 || head.ID > maxID {
		s.strike(strike("bad_message", "a request has a type and an id of 1 to 2⁵³−1"), closePolicy, 0)
		return
	}
	if (s.session.Load() == nil) != (head.Type == "hello") {
		s.fail(refuse("bad_message", closePolicy, "hello comes first, and once"), 0)
		return
	}
	if !s.rate.Allow() {
		s.fail(refuse("rate", closePolicy, "too many requests: at most 20 at once and 5 a second"), 0)
		return
	}
	switch head.Type {
	case "hello":
		s.waiting.Stop()
		s.hello(b)
	case "ping": // nothing is done, so nothing is remembered
		request(s, head.ID, b, func(r pingRequest) {
			s.conn.send(text(pongMessage{Type: "pong", Re: r.ID, T: r.T, UnixUS: time.Now().UnixMicro()}))
		})
	default:
		if s.session.Load().requests.begin(head.ID, s, head.Type == "listen") {
			s.dispatch(head.Type, head.ID, b)
		}
	}
}

// dispatch runs what is quick at once and queues what waits for the log.
func (s *socket) dispatch(kind string, id uint64, b []byte) {
	session := s.session.Load()
	switch kind {
	case "listen":
		request(s, id, b, func(r listenRequest) { s.listen(session, r) })
	case "window": // may wait for the log: other requests don't wait for it
		request(s, id, b, func(windowRequest) {
			s.edge.background(func(context.Context) { s.tellWindow(session, id) })
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
		s.strike(strike("bad_message", "unknown type %.40q", kind), closePolicy, id)
	}
}

// request decodes b strictly and runs f.
func request[R any](s *socket, id uint64, b []byte, f func(R)) {
	var r R
	if err := strict.Decode(b, controlDepth, &r); err != nil {
		s.strike(strike("bad_message", "%v", err), closePolicy, id)
		return
	}
	f(r)
}

func (s *socket) later(id uint64, f func(ctx context.Context)) {
	if !s.session.Load().requests.later(s.edge, f) {
		s.fail(refuse("rate", closePolicy, "too many requests waiting"), id)
	}
}

// respond gives a request its answer, and keeps it for the same request to come again.
func (s *socket) respond(id uint64, frame []byte) {
	if session := s.session.Load(); session != nil {
		session.requests.finish(id, frame, s)
		return
	}
	s.conn.send(frame) // hello: its socket ends with it, or is a session's from here on
}

func (s *socket) answer(id uint64, v any) { s.respond(id, text(v)) }

func (s *socket) ok(id uint64) { s.answer(id, okMessage{Type: "ok", Re: id}) }

// done answers ok, or why not. "It is so already" is ok: the same request may have reached the log before.
func (s *socket) done(id uint64, err error) {
	if err == nil || errors.Is(err, room.ErrNothingToDo) {
		s.ok(id)
		return
	}
	if errors.Is(err, errElsewhere) {
		return // this socket is closed
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
