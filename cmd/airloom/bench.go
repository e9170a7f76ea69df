package main

import (
	"fmt"
	"os"
)

type benchCmd struct {
	E2E          benchE2ECmd          `cmd:"" name:"e2e" help:"One speaker, many listeners: is every frame heard, unaltered, and how soon?"`
	Fanout       benchFanoutCmd       `cmd:"" help:"One speaker, very many listeners of one edge: what does a delivery cost, beside a bare loop of write(2)?"`
	FanoutServer benchFanoutServerCmd `cmd:"" name:"fanout-server" hidden:"" help:"A server that the edge is compared with."`
	Ingest       benchIngestCmd       `cmd:"" help:"Many speakers: how soon is a frame durable and acked?"`
	Fold         benchFoldCmd         `cmd:"" help:"How long does it take to load a room, and to start presence, with and without snapshots?"`
	Record       benchRecordCmd       `cmd:"" help:"How fast does a recorder catch up with what was spoken while none ran?"`
}

// self is this program, to be run again.
func self() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return path, nil
}
