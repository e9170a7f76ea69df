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

// createRoom creates a room or opens a closed one; for one that is open with other settings it is a conflict.
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
	if _, err := d.admit(r, ask.Room, moderate); err != nil {
		return err
	}
	status := http.StatusCreated
	return d.command(w, r, ask.Room, &status, func(s *room.State) (room.Draft, error) {
		status = http.StatusCreated
		wanted, err := ask.over(d.deps.Log.Defaults())
		if err != nil {
			return room.Draft{}, err
		}
		if s.LastOn("room", "settings") == 0 {
			return s.Set(wanted)
		}
		status = http.StatusOK
		if !s.Closed && s.Settings != wanted {
			return room.Draft{}, problem.New(http.StatusConflict, "room_exists",
				"The room is there with other settings; PUT /v1/rooms/%s/settings changes them.", ask.Room)
		}
		return s.Set(wanted)
	})
}

func (d *door) setRoom(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("room")
	if _, err := d.admit(r, name, moderate); err != nil {
		return err
	}
	var ask settings
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	return d.command(w, r, name, nil, func(s *room.State) (room.Draft, error) {
		if s.Closed { // new settings would open it again, which nobody asked for
			return room.Draft{}, room.ErrClosed
		}
		wanted, err := ask.over(s.Settings)
		if err != nil {
			return room.Draft{}, err
		}
		return s.Set(wanted)
	})
}

func (d *door) closeRoom(w http.ResponseWriter, r *http.Request) error {
	roomName := r.PathValue("room")
	if _, err := d.admit(r, roomName, moderate); err != nil {
		return err
	}
	var ask struct {
		Reason string `json:"reason"`
	}
	if err := decode(w, r, &ask, true); err != nil {
		return err
	}
	return d.command(w, r, roomName, nil, func(s *room.State) (room.Draft, error) { return s.Close(name.Clean(ask.Reason)) })
}

func (d *door) record(w http.ResponseWriter, r *http.Request) error {
	roomName := r.PathValue("room")
	claims, err := d.admit(r, roomName, record)
	if err != nil {
		return err
	}
	var ask struct {
		On *bool `json:"on"`
	}
	if err := decode(w, r, &ask, false); err != nil {
		return err
	}
	if ask.On == nil {
		return problem.New(http.StatusBadRequest, "bad_body", `Say {"on": true} or {"on": false}.`)
	}
	return d.command(w, r, roomName, nil, func(s *room.State) (room.Draft, error) {
		if *ask.On && s.Closed {
			return room.Draft{}, room.ErrClosed
		}
		return s.Record(*ask.On, newRecording(time.Now()), claims.Identity, 0)
	})
}

func (d *door) kick(w http.ResponseWriter, r *http.Request) error {
	roomName, session := r.PathValue("room"), r.PathValue("session")
	if _, err := d.admit(r, roomName, moderate); err != nil {
		return err
	}
	if err := subject.ID(session); err != nil {
		return refuse(room.ErrUnknownSession)
	}
	return d.command(w, r, roomName, nil, func(s *room.State) (room.Draft, error) { return s.Leave(session, room.Kicked) })
}

// command appends what decide says and answers with the room after it. What is so already is a success without an event. status,
// where given, is read after decide has run.
func (d *door) command(w http.ResponseWriter, r *http.Request, name string, status *int, decide func(*room.State) (room.Draft, error)) error {
	ctx, cancel := context.WithTimeout(r.Context(), d.cfg.Patience)
	defer cancel()
	var draft room.Draft
	state, position, err := d.deps.Log.Decide(ctx, name, telemetry.Traceparent(ctx), func(s *room.State) (_ room.Draft, err error) {
		draft, err = decide(s)
		return draft, err
	})
	code := http.StatusOK
	switch {
	case errors.Is(err, room.ErrNothingToDo):
		position = state.Position
	case err != nil:
		return refuse(err)
	default:
		state.Apply(&room.Event{Room: name, At: time.Now(), Fact: draft.Fact, Position: position})
		if status != nil {
			code = *status
		}
	}
	return reply(w, code, roomAnswer{Room: state.Info(), Position: position})
}
