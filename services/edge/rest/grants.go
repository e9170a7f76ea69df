package rest

import (
	"context"
	"errors"
	"net/http"

	"airloom/internal/auth"
	"airloom/internal/problem"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// allowed is a caller whose token opens the room, and the right that what it asks for needs.
type allowed struct {
	auth.Claims
	need right
}

// in gives the caller's rights in a room: those of its token, with what a moderator gave or took while it is there. It may be
// in the room with another token than the one it calls with, so only what a moderator did counts.
func (a allowed) in(s *room.State) auth.Grants {
	rights := a.Grants
	if session := s.SessionOf(a.Identity); session != nil {
		rights.Grants = rights.Without(session.Taken).With(session.Grants.Without(session.Token))
	}
	return rights
}

func (a allowed) check(s *room.State) error {
	switch {
	case a.need.has(a.in(s)):
		return nil
	case a.need.has(a.Grants):
		return problem.New(http.StatusForbidden, "forbidden", "A moderator took %s from you in this room.", a.need.words)
	}
	return problem.New(http.StatusForbidden, "forbidden", "Your token does not have %s, and no moderator gave it to you in this room.", a.need.words)
}

// enter is admit for what is done to a room: a right that a moderator gave in the room is as good as one of the token.
func (d *door) enter(r *http.Request, roomName string, need right) (allowed, error) {
	claims, err := d.admit(r, roomName, anyRight)
	by := allowed{claims, need}
	if err != nil || need.has(claims.Grants) {
		return by, err // whether it was taken in the room is seen when the command is decided
	}
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	done, err := d.turns.take(ctx, claims.Identity)
	if err != nil {
		return by, refuse(err)
	}
	defer done()
	state, err := d.deps.Log.Load(ctx, roomName)
	if err != nil {
		return by, refuse(err)
	}
	return by, by.check(state)
}

// grants is a change of a session's rights: what is not named stays as it is.
type grants struct {
	Listen   *bool `json:"listen"`
	Speak    *bool `json:"speak"`
	Record   *bool `json:"record"`
	Moderate *bool `json:"moderate"`
}

func (c grants) over(g room.Grants) room.Grants {
	for _, one := range []struct{ from, to *bool }{
		{c.Listen, &g.Listen}, {c.Speak, &g.Speak}, {c.Record, &g.Record}, {c.Moderate, &g.Moderate},
	} {
		if one.from != nil {
			*one.to = *one.from
		}
	}
	return g
}

type grantAnswer struct {
	Session  string      `json:"session"`
	Identity string      `json:"identity"`
	Name     string      `json:"name"`
	Grants   room.Grants `json:"grants"`
	Position uint64      `json:"position"`
}

// grantSession gives and takes rights of a session.
func (d *door) grantSession(w http.ResponseWriter, r *http.Request) error {
	by, err := d.enter(r, r.PathValue("room"), moderate)
	if err != nil {
		return err
	}
	var ask struct {
		Grants grants `json:"grants"`
	}
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	id := r.PathValue("session")
	if err := subject.ID(id); err != nil {
		return refuse(room.ErrUnknownSession)
	}
	return d.grant(w, r, by, ask.Grants, func(s *room.State) *room.Session { return s.Sessions[id] })
}

// grantIdentity gives and takes rights of whoever is in the room as an identity.
func (d *door) grantIdentity(w http.ResponseWriter, r *http.Request) error {
	by, err := d.enter(r, r.PathValue("room"), moderate)
	if err != nil {
		return err
	}
	var ask struct {
		Identity string `json:"identity"`
		Grants   grants `json:"grants"`
	}
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	return d.grant(w, r, by, ask.Grants, func(s *room.State) *room.Session { return s.SessionOf(ask.Identity) })
}

func (d *door) grant(w http.ResponseWriter, r *http.Request, by allowed, change grants, find func(*room.State) *room.Session) error {
	if change == (grants{}) {
		return problem.New(http.StatusBadRequest, "bad_grants", `Name what changes: {"grants": {"speak": false}}; there are listen, speak, record and moderate.`)
	}
	var id string
	state, position, _, err := d.decide(r, r.PathValue("room"), by, func(s *room.State) (room.Draft, error) {
		session := find(s)
		if session == nil {
			return room.Draft{}, room.ErrUnknownSession
		}
		id = session.Session
		wanted := change.over(session.Grants)
		if wanted.Without(session.Grants).Record && !by.in(s).Record {
			return room.Draft{}, problem.New(http.StatusForbidden, "forbidden", "Only who has the record right can give it.")
		}
		return s.Grant(id, wanted, by.Identity)
	})
	if errors.Is(err, room.ErrUnknownSession) {
		return problem.New(http.StatusNotFound, "no_such_session", "Nobody of that session or identity is in the room: rights are given to who is there.").Because(err)
	}
	if err != nil {
		return err
	}
	session := state.Sessions[id]
	return reply(w, http.StatusOK, grantAnswer{Session: id, Identity: session.Identity, Name: session.Name, Grants: session.Grants, Position: position})
}
