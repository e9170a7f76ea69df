package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"airloom/internal/room"
)

type roomKickCmd struct {
	Room     roomName `arg:"" help:"Room."`
	Identity string   `arg:"" help:"Who: an identity that is in the room, as 'airloom room show' lists it."`
	JSON     bool     `name:"json" help:"Print the answer as one object."`
}

// Help is printed below the flags.
func (roomKickCmd) Help() string {
	return fmt.Sprintf("Their session and tracks end, and the identity stays out for %.0f minutes, with whatever token.\n\nExample:  airloom room kick town-hall ada", room.BanFor.Minutes())
}

// Run removes somebody.
func (c *roomKickCmd) Run(p *program, at *roomCmd) error {
	roster, err := (&roomShowCmd{Room: c.Room}).pages(p, at)
	if err != nil {
		return fmt.Errorf("look for %s in room %s: %w", c.Identity, c.Room, err)
	}
	for _, one := range append(roster.Participants, roster.Away...) {
		if one.Identity == c.Identity {
			path := "v1/rooms/" + string(c.Room) + "/participants/" + url.PathEscape(one.Session)
			return at.change(p, http.MethodDelete, path, nil, c.JSON, fmt.Sprintf("%s is out of room %s, for %.0f minutes", cell(c.Identity), c.Room, room.BanFor.Minutes()))
		}
	}
	return hint(errors.New(c.Identity+" is not in room "+string(c.Room)), "'airloom room show "+string(c.Room)+"' lists who is.")
}
