package main

import (
	"fmt"

	"airloom/internal/auth"
)

type keyCmd struct {
	File string `arg:"" type:"path" help:"Where the private key goes; FILE.pub gets the public one."`
}

// Help is printed below the flags.
func (keyCmd) Help() string {
	return "FILE signs tokens and stays secret (mode 0600); edges need FILE.pub only. Nothing is overwritten.\n\nExample:  airloom key airloom.key"
}

// Run makes the key pair.
func (c *keyCmd) Run(p *program) error {
	id, err := auth.WriteKeyPair(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%s      private key: signs tokens, keep it secret\n%s.pub  public key: for edges (--key)\nkey id %s\n", c.File, c.File, id)
	return nil
}
