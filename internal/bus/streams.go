package bus

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/subject"
)

// Streams says what the log of a region looks like.
type Streams struct {
	Region   string
	Replicas int           // 1, 3 or 5; 0: 3 in a cluster, else 1
	LogAge   time.Duration // how long the audio log keeps packs; default 72 h
	LogBytes int64         // 0: no bound but the server's
}

// EnsureStreams makes the streams that are missing and leaves those alone that are there, but logs where they differ from what it
// would have made. It needs the right to create streams only when one is missing. While a cluster forms it goes on trying until ctx
// ends: what it made with fewer replicas would stay so.
func (b *Bus) EnsureStreams(ctx context.Context, cfg Streams) error {
	if cfg.Replicas == 0 {
		cfg.Replicas = b.replicas()
	}
	for _, stream := range configs(cfg) {
		if err := b.ensure(ctx, stream); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bus) replicas() int {
	if b.conn.ConnectedClusterName() != "" {
		return 3
	}
	return 1
}

func configs(cfg Streams) []jetstream.StreamConfig {
	if cfg.LogAge == 0 {
		cfg.LogAge = 72 * time.Hour
	}
	if cfg.LogBytes == 0 {
		cfg.LogBytes = -1
	}
	source, destination := subject.Republish(cfg.Region)
	events := jetstream.StreamConfig{
		Name: subject.EventStream(cfg.Region), Description: "airloom: room events",
		Subjects:  []string{subject.EventCapture(cfg.Region)},
		RePublish: &jetstream.RePublish{Source: source, Destination: destination},
	}
	log := jetstream.StreamConfig{
		Name: subject.LogStream(cfg.Region), Description: "airloom: audio log",
		Subjects: []string{subject.LogCapture(cfg.Region)},
		MaxAge:   cfg.LogAge, MaxBytes: cfg.LogBytes,
	}
	snapshots := jetstream.StreamConfig{
		Name: subject.SnapshotStream(cfg.Region), Description: "airloom: snapshots of rooms; may be purged, which costs time only",
		Subjects:          []string{subject.SnapshotCapture(cfg.Region)},
		MaxMsgsPerSubject: 1, AllowAtomicPublish: true, // the parts of a large snapshot come together or not at all
	}
	streams := []jetstream.StreamConfig{events, log, snapshots}
	for i := range streams {
		s := &streams[i]
		s.Replicas, s.Storage, s.Retention = cfg.Replicas, jetstream.FileStorage, jetstream.LimitsPolicy
		s.Discard = jetstream.DiscardNew // refuse and tell, never drop the oldest in silence
		s.DenyDelete, s.DenyPurge, s.AllowDirect = true, true, true
	}
	kept := &streams[len(streams)-1]
	kept.Discard, kept.DenyPurge = jetstream.DiscardOld, false // a shortcut, never the truth
	return streams
}
