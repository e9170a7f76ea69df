package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

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
	JSON  bool     `name:"json" help:"Print the answer as one object."`
}

// Run starts or stops a recording.
func (c *roomRecordCmd) Run(p *program, at *roomCmd) error {
	body := map[string]bool{"on": c.State == "on"}
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
