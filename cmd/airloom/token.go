package main

import (
	"errors"
	"fmt"
	"time"

	"airloom/internal/auth"
	"airloom/internal/room"
)

// What a token says is said on the command line alone: a variable meant for another command must not widen it.
type tokenCmd struct {
	Key      string        `required:"" env:"-" type:"existingfile" help:"Private key that signs (made by airloom key)."`
	Room     string        `required:"" env:"-" help:"Room that it opens; '*' for every room."`
	Identity string        `required:"" env:"-" help:"Who its bearer is, unique in the cluster."`
	Name     string        `env:"-" help:"Name to show."`
	Speak    bool          `env:"-" help:"May publish tracks."`
	Listen   bool          `env:"-" help:"May hear the room."`
	Moderate bool          `env:"-" help:"May change, close and moderate the room."`
	Record   bool          `env:"-" help:"May start and stop recordings, and read them."`
	Mint     bool          `env:"-" help:"May have an edge make narrower tokens (POST /v1/tokens)."`
	TTL      time.Duration `name:"ttl" default:"15m" env:"-" help:"How long it is good, at most 24h."`
	Cluster  string        `default:"airloom" help:"Cluster that it is for."`
	JSON     bool          `name:"json" help:"Print an object with the token and what it says."`
}

// Help is printed below the flags.
func (tokenCmd) Help() string {
	return "Prints the token (a JWT). It allows nothing that is not named.\n\n" +
		"Example:  export AIRLOOM_TOKEN=$(airloom token --key airloom.key --room town-hall --identity ada --speak --listen)"
}

// Run makes the token.
func (c *tokenCmd) Run(p *program) error {
	claims := auth.Claims{
		Identity: c.Identity, Name: c.Name, Room: c.Room,
		Grants: auth.Grants{Grants: room.Grants{Listen: c.Listen, Speak: c.Speak, Record: c.Record, Moderate: c.Moderate}, Mint: c.Mint},
	}
	if !claims.Grants.Any() {
		return usage(errors.New("a token without rights opens nothing: name at least one of --speak, --listen, --record, --moderate, --mint"))
	}
	keys, err := auth.LoadKeys(c.Key)
	if err != nil {
		return err
	}
	keys.Cluster = c.Cluster
	token, err := keys.Mint(claims, c.TTL)
	switch {
	case errors.Is(err, auth.ErrNoPrivateKey):
		return hint(err, "Give the private key file, not the .pub one.")
	case errors.Is(err, auth.ErrClaims), errors.Is(err, auth.ErrLifetime):
		return usage(err)
	case err != nil:
		return err
	}
	if !c.JSON {
		fmt.Fprintln(p.out, token)
		return nil
	}
	made, err := keys.Verify(token, time.Now())
	if err != nil {
		return fmt.Errorf("check the token just made: %w", err)
	}
	return p.json(map[string]any{
		"token": token, "room": made.Room, "identity": made.Identity, "name": made.Name,
		"grants": made.Grants, "id": made.ID, "expires_unix": made.Expires.Unix(),
	})
}
