package presence

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// eager writes snapshots all the time.
func eager(instance string) Config {
	cfg := quick(instance)
	cfg.Silence, cfg.Resume = time.Hour, time.Hour // it appends nothing of its own
	cfg.Snapshot, cfg.SnapshotAge, cfg.markEvery = 7, 100*time.Millisecond, 50*time.Millisecond
	return cfg
}

// history appends random facts to a few rooms: joins, moves, losses, tracks, settings, as services would append them.
type history struct {
	region *region
	random *rand.Rand
	last   map[string]uint64
	newest uint64
	tracks int
}

func (r *region) history(seed uint64) *history {
	return &history{region: r, random: rand.New(rand.NewPCG(seed, 1)), last: map[string]uint64{}}
}

func (h *history) append(n int) {
	for range n {
		name := fmt.Sprint("room", h.random.IntN(5))
		fact := h.fact(fmt.Sprint("s", h.random.IntN(12)))
		kind, id := fact.Subject()
		on := name + kind + id
		h.newest = h.region.append(name, fact, h.last[on])
		h.last[on] = h.newest
	}
}

func (h *history) fact(session string) room.Fact {
	edge := fmt.Sprint("e", h.random.IntN(3))
	settings := room.Settings{Keep: room.KeepRecord, Capacity: h.random.IntN(6), Speak: room.SpeakGranted}
	switch h.random.IntN(14) {
	case 0, 1, 2, 3:
		return room.Joined{Session: session, Identity: fmt.Sprint("i", h.random.IntN(8)), Edge: edge, ResumeHash: "h" + session, Grants: room.Grants{Speak: true}}
	case 4:
		return room.Moved{Session: session, Edge: edge}
	case 5:
		return room.Away{Session: session, Edge: edge, Reason: room.SocketLost}
	case 6, 7:
		return room.Left{Session: session, Reason: []room.Reason{room.Bye, room.Kicked, room.Timeout}[h.random.IntN(3)]}
	case 8, 9:
		h.tracks++
		return room.TrackStarted{Track: fmt.Sprint("t", h.tracks), Handle: uint32(h.tracks), Session: session, Name: "mic", Channels: 1, FrameMS: 20}
	case 10:
		return room.TrackEnded{Track: fmt.Sprint("t", 1+h.random.IntN(h.tracks+1)), Last: 5}
	case 11:
		return room.TrackMuted{Track: fmt.Sprint("t", 1+h.random.IntN(h.tracks+1))}
	case 12:
		return room.Created{Settings: settings}
	default:
		if h.random.IntN(4) == 0 {
			return room.Closed{Reason: "over"}
		}
		return room.Opened{Settings: settings}
	}
}

// seen is all that a presence tells of its rooms.
func seen(s *Service) (answers []query.Roster, rooms query.Rooms, totals [standings]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rooms = s.watch.Rooms(query.RoomsQuestion{})
	for _, one := range rooms.Rooms {
		answers = append(answers, s.watch.Roster(query.RosterQuestion{Room: one.Room}, time.Now()))
	}
	totals = s.watch.totals
	totals[none] = 0 // how many have come and gone: only who folded them knows
	return answers, rooms, totals
}

// A presence that was there all the time, one that began from snapshots, the fold of all events and what an edge loads are the
// same: over random histories, with two presences writing snapshots at once and being replaced again and again.
func TestRebuiltRostersEqualTheRunningOne(t *testing.T) {
	for seed := range uint64(3) {
		r := newRegion(t)
		history := r.history(seed)
		running, _ := r.presence(eager("p0"))
		for round := range 4 {
			other, stop := r.presence(eager(fmt.Sprint("p", round+1)))
			history.append(60)
			for _, s := range []*Service{running, other} {
				until(t, 10*time.Second, "all folded", func() bool { return s.position() == history.newest })
			}
			sameRosters(t, running, other)
			if round > 0 && other.mark.Position == 0 {
				t.Errorf("seed %d: presence %d did not begin from snapshots", seed, round+1)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
		sameStates(t, r, running)
	}
}

func sameRosters(t *testing.T, a, b *Service) {
	t.Helper()
	rostersA, roomsA, totalsA := seen(a)
	rostersB, roomsB, totalsB := seen(b)
	if !reflect.DeepEqual(rostersA, rostersB) || !reflect.DeepEqual(roomsA, roomsB) || totalsA != totalsB {
		t.Fatalf("%s and %s differ:\n%+v\n%+v\n%+v\n%+v\n%v %v", a.cfg.Instance, b.cfg.Instance, rostersA, rostersB, roomsA, roomsB, totalsA, totalsB)
	}
}

// sameStates compares presence's states with those that are loaded (over a snapshot) and folded (from all events).
func sameStates(t *testing.T, r *region, s *Service) {
	t.Helper()
	for name, rm := range s.watch.rooms {
		loaded, err := r.log.Load(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		folded := r.log.NewState(name)
		if err := r.log.Events(t.Context(), name, 0, func(e *room.Event) error { folded.Apply(e); return nil }); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(loaded, folded) {
			t.Errorf("%s: loaded %+v, folded %+v", name, loaded, folded)
		}
		s.mu.Lock()
		state := rm.state
		if !reflect.DeepEqual(state.Roster(), folded.Roster()) || state.Info() != folded.Info() || state.Position != folded.Position ||
			state.Events() != folded.Events() || state.Occupied() != folded.Occupied() || !reflect.DeepEqual(state.Sessions, folded.Sessions) {
			t.Errorf("%s: presence has %+v, folded %+v", name, state, folded)
		}
		s.mu.Unlock()
	}
}

// Without its snapshots, or with some of them gone, presence reads everything; it is told, and what it knows is the same.
func TestLostSnapshotsCostTimeOnly(t *testing.T) {
	r := newRegion(t)
	history := r.history(9)
	running, _ := r.presence(eager("p0"))
	first, stop := r.presence(eager("p1"))
	history.append(80)
	until(t, 10*time.Second, "all folded", func() bool { return first.position() == history.newest && running.position() == history.newest })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	stream, err := r.connect(bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("eu"))
	if err != nil {
		t.Fatal(err)
	}
	// Written once more at its end by p1; p0 writes no more, as nothing is new.
	until(t, 10*time.Second, "nothing is owed", func() bool {
		running.mu.Lock()
		defer running.mu.Unlock()
		return len(running.watch.ledger.rooms) == 0
	})
	for _, purge := range []string{subject.Snapshot("eu", "room1"), subject.SnapshotCapture("eu")} {
		if err := stream.Purge(t.Context(), jetstream.WithPurgeSubject(purge)); err != nil {
			t.Fatal(err)
		}
		var said safeBuffer
		b := r.connect(bus.Presence)
		logger := slog.New(slog.NewTextHandler(&said, nil))
		again, err := New(eager("p2"), b, eventlog.New(b, "eu", "p2", defaults, logger), logger)
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, again)
		until(t, 10*time.Second, "ready", again.Ready)
		if again.mark.Position != 0 {
			t.Errorf("%s is gone, and presence began from the snapshots", purge)
		}
		sameRosters(t, running, again)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if purge != subject.SnapshotCapture("eu") && !bytes.Contains(said.bytes(), []byte("snapshots are missing")) {
			t.Errorf("it is not told: %s", said.bytes())
		}
	}
	sameStates(t, r, running)
}

// Who purges the snapshots while presences run takes nothing from the next one: they are all written anew before a mark promises them.
func TestPurgedSnapshotsAreWrittenAnew(t *testing.T) {
	r := newRegion(t)
	history := r.history(4)
	running, _ := r.presence(eager("p0"))
	history.append(60)
	stream, err := r.connect(bus.Admin).JetStream().Stream(t.Context(), subject.SnapshotStream("eu"))
	if err != nil {
		t.Fatal(err)
	}
	marked := func() bool { // up to the end
		region, err := r.log.Snapshots(t.Context())
		return err == nil && region.Mark.Position == history.newest
	}
	until(t, 10*time.Second, "everything is in snapshots", marked)
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	history.append(1)
	until(t, 10*time.Second, "everything is in snapshots again", marked)
	next, _ := r.presence(eager("p1"))
	until(t, 10*time.Second, "ready", next.Ready)
	if next.mark.Position != history.newest {
		t.Errorf("the next presence began at %d of %d", next.mark.Position, history.newest)
	}
	sameRosters(t, running, next)
}

type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(b)
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buf.Bytes())
}
