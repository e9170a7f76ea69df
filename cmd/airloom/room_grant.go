package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"airloom/internal/room"
)

type roomGrantCmd struct {
	Room     roomName `arg:"" help:"Room."`
	Identity string   `arg:"" help:"Who: an identity that is in the room, as 'airloom room show' lists it."`
	Listen   *bool    `negatable:"" env:"-" help:"Give or take the right to hear."`
	Speak    *bool    `negatable:"" env:"-" help:"Give or take the right to speak; the tracks of who may not any more end."`
	Record   *bool    `negatable:"" env:"-" help:"Give or take the right to record and to fetch recordings; only who has it can give it."`
	Moderate *bool    `negatable:"" env:"-" help:"Give or take the right to moderate."`
	JSON     bool     `name:"json" help:"Print the answer as one object."`
}

// Help is printed below the flags.
func (roomGrantCmd) Help() string {
	return "It holds at once and whatever their token says, until they leave the room. To keep somebody out: airloom room kick.\n\n" +
		"Example:  airloom room grant town-hall ada --no-speak"
}

// Validate is called by the parser.
func (c *roomGrantCmd) Validate() error {
	if len(c.change()) == 0 {
		return errors.New("say what to give or to take: --speak, --no-speak, --listen, --no-listen, --record, --no-record, --moderate, --no-moderate")
	}
	return nil
}

// change holds the rights that are named.
func (c *roomGrantCmd) change() map[string]bool {
	change := map[string]bool{}
	for name, flag := range map[string]*bool{"listen": c.Listen, "speak": c.Speak, "record": c.Record, "moderate": c.Moderate} {
		if flag != nil {
			change[name] = *flag
		}
	}
	return change
}

type granted struct {
	Session  string      `json:"session"`
	Identity string      `json:"identity"`
	Name     string      `json:"name"`
	Grants   room.Grants `json:"grants"`
	Position uint64      `json:"position"`
}

// Run gives and takes rights.
func (c *roomGrantCmd) Run(p *program, at *roomCmd) error {
	var got granted
	body := map[string]any{"identity": c.Identity, "grants": c.change()}
	if err := at.ask(p, http.MethodPatch, "v1/rooms/"+string(c.Room)+"/sessions", nil, body, &got); err != nil {
		return fmt.Errorf("rights of %s in room %s: %w", c.Identity, c.Room, err)
	}
	if c.JSON {
		return p.json(got)
	}
	_, err := fmt.Fprintf(p.out, "%s in room %s: %s\n", cell(got.Identity), c.Room, mayDo(got.Grants))
	return err
}

// mayDo says in words what these rights allow.
func mayDo(g room.Grants) string {
	var may, not []string
	for _, one := range []struct {
		word string
		has  bool
	}{{"listen", g.Listen}, {"speak", g.Speak}, {"record", g.Record}, {"moderate", g.Moderate}} {
		if one.has {
			may = append(may, one.word)
		} else {
			not = append(not, one.word)
		}
	}
	switch {
	case len(may) == 0:
		return "may do nothing but see who is there"
	case len(not) == 0:
		return "may " + strings.Join(may, ", ")
	}
	return "may " + strings.Join(may, ", ") + "; may not " + strings.Join(not, ", ")
}
