package edge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"airloom/internal/auth"
	"airloom/internal/name"
	"airloom/internal/room"
	"airloom/internal/strict"
	"airloom/internal/subject"
	"airloom/internal/telemetry"
)

const (
	joinWithin = 5 * time.Second
	joinBurst  = 10 // joins of one identity at once; one a second after that
)

// hello begins or resumes a session on this socket.
func (s *socket) hello(b []byte) {
	var r helloRequest
	if err := strict.Decode(b, controlDepth, &r); err != nil {
		s.fail(refuse("bad_message", closePolicy, "hello: %v", err), 0)
		return
	}
	began := time.Now()
	ctx, span := tracer.Start(telemetry.FromTraceparent(s.edge.ctx, r.Traceparent), "edge.join",
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attribute.String("airloom.room", r.Room)))
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, joinWithin)
	defer cancel()
	session, resumed, err := s.edge.join(ctx, &r)
	if err == nil {
		err = s.welcome(session, &r, resumed)
	}
	if err != nil {
		refusal := asRefusal(err)
		span.SetStatus(codes.Error, refusal.code)
		if refusal.close == 0 {
			refusal.close = closeOverload // without a session the socket has no use
		}
		s.edge.logger.Info("join refused", "room", r.Room, "code", refusal.code, "error", err, "trace_id", span.SpanContext().TraceID())
		s.fail(refusal, r.ID)
		return
	}
	if r.Listen && session.grants().Listen { // not under the hub's lock: it waits for a writer's pass, and every live packet needs that lock
		s.begin(session, &r, resumed)
	}
	span.SetAttributes(attribute.String("airloom.session", session.id), attribute.Bool("airloom.resumed", resumed))
	s.edge.metrics.joined.Record(ctx, time.Since(began).Seconds())
}

// join checks the token and gives the session: a new one, or the one that the resume secret belongs to.
func (e *Edge) join(ctx context.Context, r *helloRequest) (s *session, resumed bool, err error) {
	claims, err := e.admit(r)
	if err != nil {
		return nil, false, err
	}
	h, err := e.openHub(ctx, r.Room)
	if err != nil {
		return nil, false, err
	}
	if r.Resume != "" {
		if s, err := e.resume(ctx, h, r, claims); err != nil || s != nil {
			return s, s != nil, err
		}
	}
	if err := r.listens(claims); err != nil {
		e.releaseHub(h)
		return nil, false, err
	}
	s, err = e.begin(ctx, h, r, claims)
	return s, false, err
}

// admit checks version, room name, token and rate.
func (e *Edge) admit(r *helloRequest) (auth.Claims, error) {
	var none auth.Claims
	if r.Protocol != protocolVersion {
		return none, refuse("protocol_version", closeVersion, "this edge speaks protocol version %d, not %d", protocolVersion, r.Protocol)
	}
	if err := subject.Room(r.Room); err != nil {
		return none, refuse("bad_room", closeForbidden, "%v", err)
	}
	claims, err := e.cfg.Keys.Verify(r.Token, time.Now())
	if err != nil {
		return none, err
	}
	if err := claims.For(r.Room); err != nil {
		return none, refuse("bad_room", closeForbidden, "%v", err)
	}
	if err := r.listens(claims); err != nil && r.Resume == "" {
		return none, err
	}
	if _, _, why := checkRewind(r.place(), r.Rate, time.Now()); why != nil {
		return none, refuse("bad_message", closePolicy, "hello: %s", why.text)
	}
	if len(r.Agent) > 256 || len(r.Resume) > 128 || len(r.Tracks) > room.MaxTracks {
		return none, refuse("bad_message", closePolicy, "hello: a field is too long")
	}
	if !e.joinAllowed(claims.Identity) {
		return none, refuse("rate", closePolicy, "this identity joins too often: at most once a second")
	}
	return claims, nil
}

func (e *Edge) joinAllowed(identity string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	limiter := e.joins[identity]
	if limiter == nil {
		limiter = rate.NewLimiter(1, joinBurst)
		e.joins[identity] = limiter
	}
	return limiter.Allow()
}

// begin appends session.joined and gives the session when the log's order has given it a seat.
func (e *Edge) begin(ctx context.Context, h *hub, r *helloRequest, claims auth.Claims) (*session, error) {
	shown := name.Clean(r.Name)
	if shown == "" {
		shown = name.Clean(claims.Name)
	}
	if shown == "" {
		shown = name.Clean(claims.Identity)
	}
	s := &session{
		edge: e, hub: h, id: newID(), identity: claims.Identity, name: shown, resume: newSecret(),
		cause: trace.SpanContextFromContext(ctx), claims: claims, tracks: map[uint32]*track{},
	}
	fact := room.Joined{
		Session: s.id, Identity: s.identity, Name: s.name, Grants: claims.Grants.Grants, Edge: e.id,
		ResumeHash: hashOf(s.resume), Agent: name.Clean(r.Agent),
	}
	h.mu.Lock()
	h.keep(s) // before the fact, so that what happens to it right after is not missed
	h.mu.Unlock()
	err := h.decide(ctx, telemetry.Traceparent(ctx), func(state *room.State) (room.Draft, error) {
		if state.Sessions[s.id] != nil {
			return room.Draft{}, room.ErrNothingToDo // the ack was lost, the event was not
		}
		if state.IsBanned(s.identity, time.Now()) {
			return room.Draft{}, room.ErrKicked // the log would say the same: spare it the event
		}
		return state.Join(fact)
	})
	if err != nil && !errors.Is(err, room.ErrNothingToDo) {
		h.discard(s)
		e.until(h, "leave", func(state *room.State) (room.Draft, error) { // it may be in the log all the same
			if state.Sessions[s.id] == nil {
				return room.Draft{}, room.ErrUnknownSession
			}
			return state.Leave(s.id, room.Timeout)
		})
		return nil, fmt.Errorf("join room %s: %w", h.name, err)
	}
	h.mu.Lock()
	admission := h.state.Admission(s.id)
	h.mu.Unlock()
	if admission != nil {
		h.discard(s)
		why := room.RoomFull
		switch {
		case errors.Is(admission, room.ErrClosed):
			why = room.RoomClosed
		case errors.Is(admission, room.ErrKicked):
			why = room.Kicked
		}
		e.leave(h, s.id, why)
		return nil, admission
	}
	return s, nil
}

// keep puts a session into the hub, which has counted its user already. The caller holds mu.
func (h *hub) keep(s *session) {
	h.sessions[s.id] = s
	h.allow(s, "")
	h.edge.metrics.sessions.Add(1)
}

// discard forgets a session that did not come to be.
func (h *hub) discard(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.end(closeNormal, "", "")
}

// welcome attaches the socket and tells it all it needs before any change. What the roster has more than one message may
// hold comes right after, as amendments.
func (s *socket) welcome(session *session, r *helloRequest, resumed bool) error {
	h := session.hub
	own := session.ownTracks()
	h.mu.Lock()
	defer h.mu.Unlock()
	if why := session.attach(s.conn); why != nil {
		return why
	}
	s.conn.session = session.id
	s.session.Store(session)
	session.mu.Lock()
	claims := session.claims
	session.mu.Unlock()
	roster := h.fullRoster()
	over := h.overSince(session, resumed, r.Tracks)
	s.answer(r.ID, welcomeMessage{
		Type: "welcome", Re: r.ID, Protocol: protocolVersion, Session: session.id, Identity: session.identity, Name: session.name,
		Resume: session.resume, Resumed: resumed, Grants: session.grants(), Expires: claims.Expires.Unix(),
		Edge: h.edge.id, Region: h.edge.cfg.Region, UnixUS: time.Now().UnixMicro(),
		Room: h.state.Info(), Roster: roster[0], Tracks: own, Over: idsOf(over),
	})
	for _, more := range roster[1:] {
		s.conn.send(text(more))
	}
	h.conns[s.conn] = struct{}{}
	if len(over) > 0 {
		h.tellOver(over)
		h.edge.background(func(context.Context) { h.renewSoon(true) })
	}
	if len(h.speaking) > 0 {
		s.conn.send(text(h.speakingNow()))
	}
	if s.edge.outbox.isAway() && len(own) > 0 {
		session.tellLog(true)
	}
	return nil
}

// refresh takes a newer token of the same identity, with the same rights or fewer.
func (e *Edge) refresh(s *session, token string) error {
	claims, err := e.cfg.Keys.Verify(token, time.Now())
	if err != nil {
		return err
	}
	if err := claims.For(s.hub.name); err != nil {
		return err
	}
	s.mu.Lock()
	err = claims.Refreshes(s.claims)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.follow(claims)
	return nil
}
