package rest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"airloom/internal/name"
	"airloom/internal/problem"
	"airloom/internal/room"
	"airloom/internal/subject"
	"airloom/internal/telemetry"
)

// settings is a change of a room's settings: what is not named stays as it is.
type settings struct {
	Keep     *room.Keep `json:"keep"`
	Capacity *int       `json:"capacity"`
	Speak    *string    `json:"speak"`
}

func (c settings) over(s room.Settings) (room.Settings, error) {
	if c.Keep != nil {
		s.Keep = *c.Keep
	}
	if c.Capacity != nil {
		s.Capacity = *c.Capacity
	}
	if c.Speak != nil {
		s.Speak = *c.Speak
	}
	if err := s.Validate(); err != nil {
		return s, problem.New(http.StatusBadRequest, "bad_settings", sentence(err)).Because(err)
	}
	return s, nil
}

// createRoom creates a room, or opens a closed one and says so; for one that is open with other settings it is a conflict.
func (d *door) createRoom(w http.ResponseWriter, r *http.Request) error {
	if _, err := d.caller(r, moderate); err != nil { // before the body is looked at
		return err
	}
	var ask struct {
		Room string `json:"room"`
		settings
	}
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	claims, err := d.admit(r, ask.Room, moderate)
	if err != nil {
		return err
	}
	return d.settle(w, r, ask.Room, allowed{claims, moderate}, func(s *room.State) (room.Settings, error) {
		base := d.deps.Log.Defaults()
		if s.Closed { // it was promised that its sound is not kept, say: opening it does not change that by the way
			base = s.Settings
		}
		wanted, err := ask.over(base)
		if err == nil && !s.Closed && s.LastOn("room", "settings") != 0 && s.Settings != wanted {
			err = problem.New(http.StatusConflict, "room_exists",
				"The room is there with other settings; PUT /v1/rooms/%s/settings changes them.", ask.Room)
		}
		return wanted, err
	}, func(s *room.State, wanted room.Settings, next uint64) (room.Draft, error) {
		if s.Closed {
			return s.Open(wanted, next)
		}
		return s.SetAt(wanted, next)
	})
}

func (d *door) setRoom(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("room")
	by, err := d.enter(r, name, moderate)
	if err != nil {
		return err
	}
	var ask settings
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	return d.settle(w, r, name, by, func(s *room.State) (room.Settings, error) { return ask.over(s.Settings) }, (*room.State).SetAt)
}

func (d *door) closeRoom(w http.ResponseWriter, r *http.Request) error {
	roomName := r.PathValue("room")
	by, err := d.enter(r, roomName, moderate)
	if err != nil {
		return err
	}
	var ask struct {
		Reason string `json:"reason"`
	}
	if err := decode(w, r, &ask, true); err != nil {
		return err
	}
	return d.command(w, r, roomName, by, func(s *room.State) (room.Draft, error) { return s.Close(name.Clean(ask.Reason)) })
}

func (d *door) kick(w http.ResponseWriter, r *http.Request) error {
	roomName, session := r.PathValue("room"), r.PathValue("session")
	by, err := d.enter(r, roomName, moderate)
	if err != nil {
		return err
	}
	if err := subject.ID(session); err != nil {
		return refuse(room.ErrUnknownSession)
	}
	identity := ""
	state, position, fact, err := d.decide(r, roomName, by, func(s *room.State) (room.Draft, error) {
		if known := s.Sessions[session]; known != nil {
			identity = known.Identity
		}
		return s.Kick(session)
	})
	if err != nil {
		return err
	}
	if err := d.expel(r, roomName, identity, position); err != nil {
		return err
	}
	return d.tell(w, r, state, position, fact)
}

// expel removes a session of somebody that the log took between the decision to kick another one of theirs and the kick, at a position:
// the ban keeps out only who joins behind that. The caller is not asked for its right again, as it may be the one that was removed.
func (d *door) expel(r *http.Request, roomName, identity string, kicked uint64) error {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	_, _, err := d.deps.Log.Decide(ctx, roomName, telemetry.Traceparent(ctx), func(s *room.State) (room.Draft, error) {
		if there := s.SessionOf(identity); there != nil && there.Order < kicked {
			return s.Kick(there.Session)
		}
		return room.Draft{}, room.ErrNothingToDo
	})
	if err != nil && !errors.Is(err, room.ErrNothingToDo) {
		return refuse(err)
	}
	return nil
}

// command appends what decide says and answers with the room after it. What is so already is a success without an event.
func (d *door) command(w http.ResponseWriter, r *http.Request, name string, by allowed, decide func(*room.State) (room.Draft, error)) error {
	state, position, fact, err := d.decide(r, name, by, decide)
	if err != nil {
		return err
	}
	return d.tell(w, r, state, position, fact)
}

// tell answers with the room after a command.
func (d *door) tell(w http.ResponseWriter, r *http.Request, state *room.State, position uint64, fact room.Fact) error {
	code, answer := http.StatusOK, roomAnswer{Room: state.Info(), Position: position}
	switch fact.(type) {
	case room.Created:
		if r.Method == http.MethodPost { // settings that are put there for the first time are a change
			code = http.StatusCreated
		}
	case room.Opened:
		answer.Opened = true
	}
	return reply(w, code, answer)
}

// decide appends what f says, unless the room has taken from the caller the right to it, and gives the room after that. fact is
// nil where it is so already.
func (d *door) decide(r *http.Request, name string, by allowed, f func(*room.State) (room.Draft, error)) (
	state *room.State, position uint64, fact room.Fact, err error,
) {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	state, position, err = d.deps.Log.Decide(ctx, name, telemetry.Traceparent(ctx), func(s *room.State) (room.Draft, error) {
		if err := by.check(s); err != nil {
			return room.Draft{}, err
		}
		draft, err := f(s)
		fact = draft.Fact
		return draft, err
	})
	switch {
	case errors.Is(err, room.ErrNothingToDo):
		return state, state.Position, nil, nil
	case err != nil:
		return nil, 0, nil, refuse(err)
	}
	state.Apply(&room.Event{Room: name, At: time.Now(), Fact: fact, Position: position})
	return state, position, fact, nil
}
