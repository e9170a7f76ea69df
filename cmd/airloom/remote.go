package main

import (
	"errors"
	"fmt"
	"log/slog"

	"airloom/internal/participant"
	"airloom/internal/subject"
)

// remote are the flags of everything that talks to an edge.
type remote struct {
	URL   string `name:"url" default:"http://127.0.0.1:8080" help:"Address of an edge, or several with commas: where one fails the next is tried."`
	Token string `help:"Token; an edge with --dev-tokens gives one to a caller that has none."`
	Debug bool   `help:"Tell on stderr what the connection does."`
}

// participant is the configuration with which to join a room.
func (r remote) participant(p *program, roomName, name string) participant.Config {
	level := slog.LevelWarn
	if r.Debug {
		level = slog.LevelDebug
	}
	return participant.Config{
		URL: r.URL, Token: r.Token, Room: roomName, Name: name, Agent: "airloom " + versionString(),
		Logger: slog.New(slog.NewTextHandler(p.errs, &slog.HandlerOptions{Level: level})),
	}
}

// roomName is a room's name as a flag or an argument; the parser refuses what is none.
type roomName string

// Validate is called by the parser for what stands on the command line.
func (n roomName) Validate() error {
	return subject.Room(string(n))
}

// check is for a command's Validate: it sees what a variable says, too. That there is none is for the parser to say.
func (n roomName) check() error {
	if n == "" {
		return nil
	}
	return n.Validate()
}

// join joins and says plainly what stood in the way.
func join(p *program, cfg participant.Config) (*participant.Participant, error) {
	joined, err := participant.Join(p.ctx, cfg)
	switch {
	case err == nil:
		return joined, nil
	case p.ctx.Err() != nil:
		return nil, errors.New("interrupted while joining")
	}
	return nil, fmt.Errorf("join room %s at %s: %w", cfg.Room, cfg.URL, err)
}
