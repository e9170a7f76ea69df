package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func benchLog(b *bus.Bus, logger *slog.Logger) *eventlog.Log {
	return eventlog.New(b, benchRegion, "bench", benchDefaults, logger)
}

// recordFill writes tracks into a log as edges would, one pack of each track after the other.
type recordFill struct {
	line     *progress
	frames   [][]byte
	unit     time.Duration
	channels int
	tracks   int
	each     int // frames in a track
	result   *recordResult
}

const packFrames = 10

func (f *recordFill) run(ctx context.Context, server *bus.Server, logger *slog.Logger) error {
	admin, err := bus.Connect(ctx, server.Config(bus.Admin), logger)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := admin.EnsureStreams(ctx, bus.Streams{Region: benchRegion, Replicas: 1}); err != nil {
		return err
	}
	b, err := bus.Connect(ctx, server.Config(bus.Edge), logger)
	if err != nil {
		return err
	}
	defer b.Close()
	begin := time.Now()
	log := benchLog(b, logger)
	if err := f.events(ctx, log, func(s *room.State, i int) (room.Draft, error) {
		return s.Join(room.Joined{Session: f.session(i), Identity: f.session(i), Edge: "bench", Grants: room.Grants{Speak: true}})
	}, func(s *room.State, i int) (room.Draft, error) {
		return s.StartTrack(room.TrackStarted{
			Track: frame.TrackID(f.handle(i)), Handle: f.handle(i), Session: f.session(i), Name: "bench", Channels: f.channels, FrameMS: f.unit.Seconds() * 1000,
		})
	}); err != nil {
		return err
	}
	if err := f.packs(ctx, b); err != nil {
		return err
	}
	err = f.events(ctx, log, func(s *room.State, i int) (room.Draft, error) {
		return s.EndTrack(room.TrackEnded{Track: frame.TrackID(f.handle(i)), Last: int64(f.each - 1)})
	}, func(s *room.State, i int) (room.Draft, error) { return s.Leave(f.session(i), room.Bye) })
	f.result.Fill = time.Since(begin).Seconds()
	f.result.Sound = float64(f.tracks) * float64(f.each) * f.unit.Seconds()
	return err
}

func (f *recordFill) room(i int) string       { return fmt.Sprintf("bench-%d", i/roomSpeakers) }
func (f *recordFill) session(i int) string    { return fmt.Sprintf("speaker%d", i) }
func (f *recordFill) handle(i int) (h uint32) { return uint32(i + 1) }

// events appends events of each track.
func (f *recordFill) events(ctx context.Context, log *eventlog.Log, decide ...func(*room.State, int) (room.Draft, error)) error {
	for i := range f.tracks {
		for _, one := range decide {
			if _, _, err := log.Decide(ctx, f.room(i), "", func(s *room.State) (room.Draft, error) { return one(s, i) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// packs logs all sound, as fast as it is taken.
func (f *recordFill) packs(ctx context.Context, b *bus.Bus) error {
	js, err := jetstream.New(b.Conn(), jetstream.WithPublishAsyncMaxPending(512))
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	samples := uint32(f.unit * frame.SampleRate / time.Second)
	var acks []jetstream.PubAckFuture
	for seq := 0; seq < f.each; seq += packFrames {
		count := min(packFrames, f.each-seq)
		for i := range f.tracks {
			some := make([][]byte, count)
			for k := range some {
				some[k] = f.frames[(seq+k+37*i)%len(f.frames)]
				f.result.Bytes += int64(len(some[k]))
			}
			pack, err := frame.AppendAudio(nil, frame.Header{Handle: f.handle(i), Seq: uint32(seq), Timestamp: uint32(seq) * samples}, some...)
			if err != nil {
				return err
			}
			ack, err := js.PublishAsync(subject.Log(benchRegion, f.room(i), frame.TrackID(f.handle(i))), pack)
			if err != nil {
				return err
			}
			acks = append(acks, ack)
			f.result.Frames += int64(count)
		}
		if len(acks) >= 256 || seq+count == f.each {
			if acks, err = f.acked(ctx, acks); err != nil {
				return err
			}
			f.line.show("filling the log: %d%%", 100*(seq+count)/f.each)
		}
	}
	return nil
}

// acked waits until the log has what was published.
func (f *recordFill) acked(ctx context.Context, acks []jetstream.PubAckFuture) ([]jetstream.PubAckFuture, error) {
	for _, ack := range acks {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return acks[:0], nil
}
