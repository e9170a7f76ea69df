package main

type benchCmd struct {
	E2E    benchE2ECmd    `cmd:"" name:"e2e" help:"One speaker, many listeners: is every frame heard, unaltered, and how soon?"`
	Ingest benchIngestCmd `cmd:"" help:"Many speakers: how soon is a frame durable and acked?"`
	Fold   benchFoldCmd   `cmd:"" help:"How long does it take to load a room, and to start presence, with and without snapshots?"`
	Record benchRecordCmd `cmd:"" help:"How fast does a recorder catch up with what was spoken while none ran?"`
}
