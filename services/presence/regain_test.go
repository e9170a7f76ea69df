package presence

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Presence must judge who is there, so after a while it goes on without an event that only a replica which is away has. What it folds then
// becomes no snapshot and no mark: an edge would believe it when the replica is back, and have a ghost in the room. Once the replica
// is back, snapshots and roster have the event.
func TestRow87NoSnapshotWithoutAnEventThatIsAway(t *testing.T) {
	r := newHoledRegion(t)
	joined := r.append("hall", room.Joined{Session: "ghost", Identity: "ann", Edge: "e", ResumeHash: "h"}, 0)
	r.append("hall", room.Joined{Session: "stays", Identity: "bob", Edge: "e"}, 0)
	left := r.append("hall", room.Left{Session: "ghost", Reason: room.Bye}, joined)
	only := r.append("lab", room.Created{Settings: room.Settings{Keep: room.KeepNone, Speak: room.SpeakGranted}}, 0) // of its room there is nothing else
	last := r.append("hall", room.Joined{Session: "comes", Identity: "cat", Edge: "e"}, 0)
	whole := r.stored(last)
	r.without(left, only)

	b := r.connect(bus.Presence)
	s, err := New(eager("p1"), b, eventlog.New(b, "eu", "p1", defaults, quiet), quiet)
	if err != nil {
		t.Fatal(err)
	}
	r.follow(s, last)
	if s.watch.rooms["hall"].state.Sessions["ghost"] == nil || s.position() != last {
		t.Fatal("it did not go on without the event: this test looks at the wrong place")
	}
	var known knowledge
	if s.writeSnapshots(t.Context(), 0) || s.writeMark(t.Context(), &known) {
		t.Error("it says that snapshots are written")
	}
	if n := r.snapshots(); n != 0 {
		t.Errorf("%d messages of snapshots are there without the event", n)
	}

	r.with(whole)
	if !s.regain(t.Context()) || !s.writeSnapshots(t.Context(), 0) || !s.writeMark(t.Context(), &known) {
		t.Fatal("nothing is written though the event is there again")
	}
	region, err := r.log.Snapshots(t.Context())
	if err != nil || region.Mark.Position != last || len(region.Rooms) != 2 {
		t.Fatalf("mark at %d with %d rooms, %v", region.Mark.Position, len(region.Rooms), err)
	}
	for _, state := range region.Rooms {
		folded := r.fold(state.Room)
		if !reflect.DeepEqual(state, folded) {
			t.Errorf("the snapshot has %+v, the log %+v", state, folded)
		}
		if rm := s.watch.rooms[state.Room]; !reflect.DeepEqual(rm.state.Roster(), folded.Roster()) || rm.state.Settings != folded.Settings {
			t.Errorf("presence has %+v, the log %+v", rm.state, folded)
		}
	}
	if s.watch.totals[present] != 2 || len(s.watch.edges["e"].sessions) != 2 {
		t.Errorf("presence counts %v, and %d on the edge", s.watch.totals, len(s.watch.edges["e"].sessions))
	}
}

// What nobody has, with all replicas there, is lost for everybody alike: snapshots go on without it.
func TestSnapshotsGoOnWithoutWhatIsLost(t *testing.T) {
	r := newHoledRegion(t)
	r.append("hall", room.Joined{Session: "s1", Identity: "ann", Edge: "e"}, 0)
	gone := r.append("lab", room.Joined{Session: "s2", Identity: "bob", Edge: "e"}, 0)
	last := r.append("hall", room.Joined{Session: "s3", Identity: "cat", Edge: "e"}, 0)
	r.without(gone)
	s, _ := r.presence(eager("p1"))
	until(t, 10*time.Second, "a mark behind what is lost", func() bool {
		region, err := r.log.Snapshots(t.Context())
		return err == nil && region.Mark.Position == last && s.Ready()
	})
}

// newHoledRegion has an event stream that lets delete.
func newHoledRegion(t *testing.T) *region {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: "eu"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := &region{t: t, server: server}
	r.makeEvents()
	if err := r.connect(bus.Admin).EnsureStreams(t.Context(), bus.Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	r.edge = r.connect(bus.Edge)
	r.log = eventlog.New(r.edge, "eu", "edge-test", defaults, quiet)
	return r
}

func (r *region) makeEvents() {
	r.t.Helper()
	if _, err := r.connect(bus.Admin).JetStream().CreateStream(r.t.Context(), jetstream.StreamConfig{
		Name: subject.EventStream("eu"), Subjects: []string{subject.EventCapture("eu")}, AllowDirect: true}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *region) eventStream(of string) jetstream.Stream {
	r.t.Helper()
	stream, err := r.connect(bus.Admin).JetStream().Stream(r.t.Context(), of)
	if err != nil {
		r.t.Fatal(err)
	}
	return stream
}

// stored are the messages of the event stream up to a position.
func (r *region) stored(last uint64) (all []*jetstream.RawStreamMsg) {
	r.t.Helper()
	stream := r.eventStream(subject.EventStream("eu"))
	for at := uint64(1); at <= last; at++ {
		m, err := stream.GetMsg(r.t.Context(), at)
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// without takes events out of the stream, as a replica lacks them.
func (r *region) without(positions ...uint64) {
	r.t.Helper()
	stream := r.eventStream(subject.EventStream("eu"))
	for _, at := range positions {
		if err := stream.DeleteMsg(r.t.Context(), at); err != nil {
			r.t.Fatal(err)
		}
	}
}

// with makes the stream anew, with all that it had, as a replica that comes back has it.
func (r *region) with(all []*jetstream.RawStreamMsg) {
	r.t.Helper()
	js := r.connect(bus.Admin).JetStream()
	if err := js.DeleteStream(r.t.Context(), subject.EventStream("eu")); err != nil {
		r.t.Fatal(err)
	}
	r.makeEvents()
	for _, m := range all {
		if _, err := r.edge.JetStream().PublishMsg(r.t.Context(), &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}); err != nil {
			r.t.Fatal(err)
		}
	}
}

// follow folds the log up to a position.
func (r *region) follow(s *Service, last uint64) {
	r.t.Helper()
	done := errors.New("done")
	err := s.log.Follow(r.t.Context(), 0, nil, func(e *room.Event) error {
		if err := s.apply(e); err != nil || e.Position < last {
			return err
		}
		return done
	})
	if !errors.Is(err, done) {
		r.t.Fatal(err)
	}
}

func (r *region) snapshots() uint64 {
	r.t.Helper()
	return r.eventStream(subject.SnapshotStream("eu")).CachedInfo().State.Msgs
}

func (r *region) fold(name string) *room.State {
	r.t.Helper()
	folded := room.NewState(name, defaults)
	if err := r.log.Events(r.t.Context(), name, 0, func(e *room.Event) error {
		folded.Apply(e)
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	return folded
}
