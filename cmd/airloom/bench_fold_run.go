package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
	"airloom/services/presence"
)

const (
	foldBehind = 500 // events behind a snapshot: as many as there can be until the next one
	foldLoads  = 20  // rooms that are loaded, or loads of the one
)

// run fills the log, measures without snapshots, writes them, and measures with them.
func (f *foldBench) run(events int, shape *foldShape) error {
	began := time.Now()
	crowd := newFoldCrowd(f.rooms, f.inside)
	behind := min(foldBehind*f.rooms, events/10)
	if err := f.fill(crowd, events-behind); err != nil {
		return err
	}
	shape.FillSeconds = time.Since(began).Seconds()
	var err error
	if shape.Snapshot, err = f.snapshots(uint64(events - behind)); err != nil {
		return err
	}
	if err := f.fill(crowd, behind); err != nil {
		return err
	}
	if shape.LoadSnapshot, shape.Sessions, err = f.load(foldLoads); err != nil {
		return err
	}
	if shape.StartAgain, err = f.start(); err != nil {
		return err
	}
	stream, err := f.buses[0].JetStream().Stream(f.p.ctx, subject.SnapshotStream(foldRegion))
	if err != nil {
		return fmt.Errorf("ask for the stream of snapshots: %w", err)
	}
	shape.Bytes = stream.CachedInfo().State.Bytes
	if err := stream.Purge(f.p.ctx); err != nil {
		return fmt.Errorf("purge snapshots: %w", err)
	}
	loads := foldLoads
	if f.rooms == 1 {
		loads = 1 // of seconds
	}
	if shape.Load, _, err = f.load(loads); err != nil {
		return err
	}
	shape.Start, err = f.start()
	return err
}

// load loads rooms, or the one again and again, and gives how many sessions one has.
func (f *foldBench) load(n int) (foldTime, int, error) {
	times, sessions := make([]time.Duration, n), 0
	for i := range times {
		began := time.Now()
		state, err := f.loads.Load(f.p.ctx, foldRoom(i*f.rooms/n))
		if err != nil {
			return foldTime{}, 0, err
		}
		times[i], sessions = time.Since(began), len(state.Sessions)
	}
	if n := f.loads.PassedOver(); n > 0 {
		return foldTime{}, 0, fmt.Errorf("%d snapshots could not be used", n)
	}
	return foldTimes(times), sessions, nil
}

func (f *foldBench) snapshots(position uint64) (foldTime, error) {
	times := make([]time.Duration, f.rooms)
	for i := range times {
		began := time.Now()
		if _, err := f.presence.WriteSnapshot(f.p.ctx, foldRoom(i), eventlog.Known{}); err != nil {
			return foldTime{}, err
		}
		times[i] = time.Since(began)
	}
	_, err := f.presence.WriteMark(f.p.ctx, position, eventlog.Written{})
	return foldTimes(times), err
}

// start runs a presence until it is ready, in ms.
func (f *foldBench) start() (float64, error) {
	ctx, stop := context.WithCancel(f.p.ctx)
	defer stop()
	cfg := presence.Config{Instance: instance(), Snapshot: 1 << 30, SnapshotAge: 1000 * time.Hour} // it writes none while it is measured
	service, err := presence.New(cfg, f.buses[len(f.buses)-1], f.presence, f.logger)
	if err != nil {
		return 0, err
	}
	began, ended := time.Now(), make(chan error, 1)
	go func() { ended <- service.Run(ctx) }()
	if !await(ctx, unless(service.Ready, "presence has not caught up with the log")) {
		stop()
		return 0, errors.Join(errors.New("presence did not become ready"), <-ended)
	}
	took := time.Since(began)
	stop()
	return ms(took), <-ended
}

// fill appends events as fast as the log takes them.
func (f *foldBench) fill(crowd *foldCrowd, events int) error {
	js, err := jetstream.New(f.edge.Conn(), jetstream.WithPublishAsyncMaxPending(4000))
	if err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	for range events {
		name, fact := crowd.next()
		kind, id := fact.Subject()
		body, err := json.Marshal(room.Event{Room: name, At: time.Now(), By: "bench", Fact: fact})
		if err != nil {
			return fmt.Errorf("fill the log: %w", err)
		}
		msg := &nats.Msg{Subject: subject.Event(foldRegion, name, kind, id), Data: body}
		if _, err := js.PublishMsgAsync(msg, jetstream.WithStallWait(time.Minute)); err != nil {
			return fmt.Errorf("fill the log: %w", err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
		return nil
	case <-f.p.ctx.Done():
		return fmt.Errorf("fill the log: %w", f.p.ctx.Err())
	}
}

// foldCrowd comes and goes: in each room, in turn, somebody joins, starts a track and ends it, and once enough are inside the one who has
// been there for longest leaves.
type foldCrowd struct {
	rooms  int
	inside int
	steps  []int // of each room
	turn   int
}

func newFoldCrowd(rooms, inside int) *foldCrowd {
	return &foldCrowd{rooms: rooms, inside: inside, steps: make([]int, rooms)}
}

func (c *foldCrowd) next() (string, room.Fact) {
	i := c.turn % c.rooms
	c.turn++
	step := c.steps[i]
	c.steps[i]++
	n := step / 4
	session := foldSession(i, n)
	track := fmt.Sprintf("t%06d%d", i, n)
	switch step % 4 {
	case 0:
		random := sha256.Sum256([]byte(session))
		return foldRoom(i), room.Joined{
			Session: session, Identity: fmt.Sprintf("person-%d-%d", i, n), Name: "A Name", Edge: "edge1", Agent: "bench",
			Grants: room.Grants{Listen: true, Speak: true}, ResumeHash: hex.EncodeToString(random[:]),
		}
	case 1:
		return foldRoom(i), room.TrackStarted{Track: track, Handle: uint32(n + 1), Session: session, Name: "mic", Channels: 1, FrameMS: 20}
	case 2:
		return foldRoom(i), room.TrackEnded{Track: track, Last: 1000}
	}
	if n >= c.inside {
		return foldRoom(i), room.Left{Session: foldSession(i, n-c.inside), Reason: room.Bye}
	}
	return foldRoom(i), room.Moved{Session: session, Edge: "edge2"}
}

// foldSession has as many bytes of chance as a session's id.
func foldSession(i, n int) string {
	random := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, n))
	return "s" + hex.EncodeToString(random[:12])
}
