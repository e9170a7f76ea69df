package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"airloom/internal/participant"
	"airloom/internal/room"
)

type roomCreateCmd struct {
	Room     roomName `arg:"" help:"Room: 1-64 of a-z, 0-9, - and _."`
	Keep     string   `enum:"none,rewind,record," default:"" env:"-" help:"What of its sound is kept: none, rewind, record (default: the edge's)."`
	Capacity *int     `help:"Participants at once; 0: no bound. Below who is there it sends nobody away."`
	Speak    string   `enum:"granted,moderators," default:"" env:"-" help:"Who may speak: whoever has the right (granted), or only moderators that have it; the tracks of others end."`
	JSON     bool     `name:"json" help:"Print the answer as one object."`
}

// Help is printed below the flags.
func (roomCreateCmd) Help() string {
	return "A room that is there keeps the settings that are not named; one that is closed is opened.\n\n" +
		"Example:  airloom room create town-hall --keep record --capacity 500"
}

// Validate is called by the parser.
func (c *roomCreateCmd) Validate() error {
	if c.Capacity != nil && *c.Capacity < 0 {
		return errors.New("--capacity: must not be negative")
	}
	return nil
}

// Run makes a room.
func (c *roomCreateCmd) Run(p *program, at *roomCmd) error {
	settings := map[string]any{} // what is not named stays as it is
	if c.Keep != "" {
		settings["keep"] = c.Keep
	}
	if c.Capacity != nil {
		settings["capacity"] = *c.Capacity
	}
	if c.Speak != "" {
		settings["speak"] = c.Speak
	}
	body := maps.Clone(settings)
	body["room"] = c.Room
	var got json.RawMessage
	err := at.ask(p, http.MethodPost, "v1/rooms", nil, body, &got)
	var problem *participant.Problem
	if errors.As(err, &problem) && problem.Code == "room_exists" {
		err = at.ask(p, http.MethodPut, "v1/rooms/"+string(c.Room)+"/settings", nil, settings, &got)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return p.json(got)
	}
	return c.tell(p, got)
}

// tell says how the room is now, and that it was closed where it was.
func (c *roomCreateCmd) tell(p *program, body json.RawMessage) error {
	var got struct {
		Room   room.Info `json:"room"`
		Opened bool      `json:"opened"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return fmt.Errorf("decode the answer: %w", err)
	}
	word := "is open"
	if got.Opened {
		word = "was closed and is open again"
	}
	_, err := fmt.Fprintf(p.out, "room %s %s: keep %s, capacity %s, speak %s\n", c.Room, word, got.Room.Keep, capacity(got.Room.Capacity), got.Room.Speak)
	return err
}

type roomCloseCmd struct {
	Room roomName `arg:"" help:"Room."`
	JSON bool     `name:"json" help:"Print the answer as one object."`
}

// Run closes a room.
func (c *roomCloseCmd) Run(p *program, at *roomCmd) error {
	return at.change(p, http.MethodPost, "v1/rooms/"+string(c.Room)+"/close", nil, c.JSON, fmt.Sprintf("room %s is closed", c.Room))
}

type roomRecordCmd struct {
	Room  roomName `arg:"" help:"Room."`
	State string   `arg:"" enum:"on,off" help:"on or off."`
	Since string   `placeholder:"start|-10m|TIME" help:"With on: record also what was said since then, as far as it is kept: start (all of it), so long ago (-10m), or a time (RFC 3339, or local as 13:03)."`
	JSON  bool     `name:"json" help:"Print the answer as one object."`

	since string // as the edge takes it
}

// Help is printed below the flags.
func (roomRecordCmd) Help() string {
	return "A recording holds what is said while it runs. What was said before it is kept for a while where the room keeps rewind or record, and can be had with --since.\n\n" +
		"Example:  airloom room record town-hall on --since -10m"
}

// Validate is called by the parser.
func (c *roomRecordCmd) Validate() error {
	switch {
	case c.Since == "":
		return nil
	case c.State == "off":
		return errors.New("--since: a recording that is stopped ends now; it is for one that starts")
	case c.Since == "start":
		c.since = c.Since
		return nil
	}
	at, err := readAt(c.Since, time.Now())
	if err == nil && at.After(time.Now().Add(clockSlack)) {
		err = fmt.Errorf("%q is still to come", c.Since)
	}
	if err != nil {
		return fmt.Errorf("--since: %w", err)
	}
	c.since = at.UTC().Format(time.RFC3339Nano)
	return nil
}

// Run starts or stops a recording.
func (c *roomRecordCmd) Run(p *program, at *roomCmd) error {
	body := map[string]any{"on": c.State == "on"}
	if c.since != "" {
		body["since"] = c.since
	}
	return at.change(p, http.MethodPut, "v1/rooms/"+string(c.Room)+"/recording", body, c.JSON, fmt.Sprintf("recording of room %s is %s", c.Room, c.State))
}

// change asks for a change and prints the answer, or done in words.
func (r remote) change(p *program, method, path string, body any, asJSON bool, done string) error {
	var got json.RawMessage
	var result any
	if asJSON {
		result = &got
	}
	if err := r.ask(p, method, path, nil, body, result); err != nil {
		return err
	}
	if asJSON {
		return p.json(got)
	}
	_, err := fmt.Fprintln(p.out, done)
	return err
}
