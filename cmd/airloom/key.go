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
	return "FILE stays secret (mode 0600). One key signs tokens (edges need its FILE.pub only), another one recordings (`airloom recorder\n" +
		"--key FILE`; `airloom recording verify --key FILE.pub` checks). Nothing is overwritten.\n\nExamples:\n  airloom key airloom.key\n  airloom key recorder.key"
}

// Run makes the key pair.
func (c *keyCmd) Run(p *program) error {
	id, err := auth.WriteKeyPair(c.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "%s      private key: signs tokens or recordings, keep it secret\n%s.pub  public key: checks them\nkey id %s\n", c.File, c.File, id)
	return nil
}
