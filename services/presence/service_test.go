package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// quick is a presence's life ten times as fast, where a test is not about the promised seconds.
func quick(instance string) Config {
	return Config{
		Instance: instance, Silence: 800 * time.Millisecond, Resume: 600 * time.Millisecond, Tick: 20 * time.Millisecond,
		Listen: 50 * time.Millisecond, Deaf: 400 * time.Millisecond, Retry: 500 * time.Millisecond,
	}
}

// region is a running NATS with the streams of region "eu".
type region struct {
	t      *testing.T
	server *bus.Server
	edge   *bus.Bus
	log    *eventlog.Log // an edge's
}

func newRegion(t *testing.T) *region {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: "eu"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := &region{t: t, server: server}
	if err := r.connect(bus.Admin).EnsureStreams(t.Context(), bus.Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	r.edge = r.connect(bus.Edge)
	r.log = eventlog.New(r.edge, "eu", "edge-test", defaults, quiet)
	return r
}

func (r *region) connect(role bus.Role) *bus.Bus {
	r.t.Helper()
	b, err := bus.Connect(r.t.Context(), r.server.Config(role), quiet)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(b.Close)
	return b
}

// presence runs one until the test ends, or until the function it returns is called.
func (r *region) presence(cfg Config) (*Service, func() error) {
	r.t.Helper()
	b := r.connect(bus.Presence)
	s, err := New(cfg, b, eventlog.New(b, "eu", cfg.Instance, defaults, quiet), quiet)
	if err != nil {
		r.t.Fatal(err)
	}
	return s, run(r.t, s)
}

func run(t *testing.T, s *Service) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !stopped {
			if err := stop(); err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return stop
}

// until waits for a condition.
func until(t *testing.T, patience time.Duration, what string, met func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(patience); !met(); {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("after %v: not %s", patience, what)
		}
	}
}

func (r *region) beat(edges ...string) {
	for _, name := range edges {
		if err := r.edge.Conn().Publish(subject.Heartbeat("eu", name), []byte(`{"edge":"`+name+`"}`)); err != nil {
			r.t.Error(err)
		}
	}
}

// beating sends heartbeats of an edge until the function it returns is called, which is its kill -9.
func (r *region) beating(name string, pause time.Duration) (kill func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		every(ctx, pause, func() { r.beat(name) })
	}()
	kill = func() { cancel(); <-done }
	r.t.Cleanup(kill)
	return kill
}

func (r *region) append(name string, fact room.Fact, expect uint64) uint64 {
	r.t.Helper()
	position, err := r.log.Append(r.t.Context(), name, room.Draft{Fact: fact, Expect: expect}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	return position
}

func (r *region) join(name, session, edge string) uint64 {
	r.t.Helper()
	return r.append(name, room.Joined{Session: session, Identity: "of-" + session, Name: session, Edge: edge, Grants: room.Grants{Speak: true}}, 0)
}

func (r *region) ask(t *testing.T, on, request string, into any) {
	t.Helper()
	msg, err := r.edge.Conn().Request(on, []byte(request), 2*time.Second)
	if err != nil {
		t.Fatalf("ask %s: %v", on, err)
	}
	if err := json.Unmarshal(msg.Data, into); err != nil {
		t.Fatalf("answer of %s: %v: %s", on, err, msg.Data)
	}
}

func (r *region) roster(t *testing.T, name string) (answer query.Roster) {
	t.Helper()
	r.ask(t, subject.PresenceRoster, `{"room":"`+name+`"}`, &answer)
	return answer
}

// facts counts the events of each type for each session.
func (r *region) facts(t *testing.T, rooms ...string) map[string]map[string]int {
	t.Helper()
	counts := map[string]map[string]int{}
	for _, name := range rooms {
		if err := r.log.Events(t.Context(), name, 0, func(e *room.Event) error {
			_, session := e.Fact.Subject()
			if counts[session] == nil {
				counts[session] = map[string]int{}
			}
			counts[session][e.Fact.Type()]++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return counts
}

func TestTwoPresencesEndEachSessionExactlyOnce(t *testing.T) {
	r := newRegion(t)
	kill := r.beating("e1", 100*time.Millisecond)
	r.beating("e2", 100*time.Millisecond)
	rooms := []string{"hall", "cafe", "lab", "den"}
	for i := range 200 {
		r.join(rooms[i%len(rooms)], fmt.Sprintf("s%d", i), "e1")
	}
	r.join("hall", "stays", "e2")
	first, _ := r.presence(quick("p1"))
	second, _ := r.presence(quick("p2"))
	until(t, 10*time.Second, "both ready", func() bool { return first.Ready() && second.Ready() })
	kill()

	whole := map[string]int{"session.joined": 1, "session.away": 1, "session.left": 1}
	until(t, 30*time.Second, "200 sessions gone", func() bool {
		first.mu.Lock()
		defer first.mu.Unlock()
		return first.watch.totals[present] == 1 && first.watch.totals[away] == 0
	})
	until(t, 5*time.Second, "the other one has seen it too", func() bool { return second.position() == first.position() })
	facts := r.facts(t, rooms...)
	if len(facts) != 201 {
		t.Errorf("%d sessions in the log, want 201", len(facts))
	}
	for session, got := range facts {
		want := whole
		if session == "stays" {
			want = map[string]int{"session.joined": 1}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", session, got, want)
		}
	}
}

// The promise itself, with the seconds it is given in.
func TestAKilledEdgeLeavesNoGhostAfterFiveSeconds(t *testing.T) {
	r := newRegion(t)
	kill := r.beating("e1", time.Second)
	for i := range 50 {
		r.join("hall", fmt.Sprintf("s%d", i), "e1")
	}
	s, _ := r.presence(Config{Instance: "p1"})
	until(t, 10*time.Second, "ready", s.Ready)
	kill()
	killed := time.Now()
	until(t, 8*time.Second, "without ghosts", func() bool { return len(r.roster(t, "hall").Participants) == 0 })
	took := time.Since(killed)
	t.Logf("no ghost after %v", took)
	if took > 5*time.Second {
		t.Errorf("ghosts for %v, promised 5 s", took)
	}
	if answer := r.roster(t, "hall"); len(answer.Away) != 50 {
		t.Errorf("%d away, want 50", len(answer.Away))
	}
}

func TestAnswersFollowEachChange(t *testing.T) {
	r := newRegion(t)
	r.beating("e1", 100*time.Millisecond)
	s, _ := r.presence(quick("p1"))
	until(t, 10*time.Second, "ready", s.Ready)
	joined := r.join("hall", "s1", "e1")
	r.append("hall", room.TrackStarted{Track: "aaaaaab", Handle: 1, Session: "s1", Name: "mic", Channels: 1, FrameMS: 20}, 0)
	heard := func() bool {
		answer := r.roster(t, "hall")
		return len(answer.Participants) == 1 && len(answer.Participants[0].Tracks) == 1 && answer.Participants[0].Tracks[0].Speaking
	}
	until(t, time.Second, "shown as speaking", func() bool {
		if err := r.edge.Conn().Publish(subject.Speaking("eu", "hall", "aaaaaab"), []byte("1")); err != nil {
			t.Fatal(err)
		}
		return heard()
	})
	until(t, 2*time.Second, "silent when nobody repeats it", func() bool { return !heard() })

	var rooms query.Rooms
	r.ask(t, subject.PresenceRooms, "", &rooms)
	if want := (query.RoomCount{Room: "hall", Keep: room.KeepRewind, Present: 1, Tracks: 1}); len(rooms.Rooms) != 1 || rooms.Rooms[0] != want {
		t.Errorf("rooms %+v, want %+v", rooms.Rooms, want)
	}
	r.append("hall", room.Left{Session: "s1", Reason: room.Bye}, joined)
	until(t, time.Second, "empty", func() bool { return r.roster(t, "hall").Total == 0 })
	if empty := r.roster(t, "nobody-was-here"); empty.Position != 0 || empty.Room.Keep != room.KeepRewind {
		t.Errorf("a room without events: %+v", empty)
	}
}

// Rows 76 and 49 of the catalogue of bad inputs, for presence's requests.
func TestBadRequestsAreRefused(t *testing.T) {
	r := newRegion(t)
	s, _ := r.presence(quick("p1"))
	until(t, 10*time.Second, "ready", s.Ready)
	for _, request := range []string{
		`{"room":"a.b"}`, `{"room":"*"}`, `{"room":""}`, `{}`, ``, `{"room":`, `[]`, `{"room":"hall","offset":1e999}`, `{"room":"hall","other":1}`,
		`{"room":"hall","room":"lab"}`, `{"room":"` + strings.Repeat("a", 300) + `"}`,
	} {
		msg, err := r.edge.Conn().Request(subject.PresenceRoster, []byte(request), 2*time.Second)
		if err != nil || msg.Header.Get("Nats-Service-Error-Code") != "400" {
			t.Errorf("%s was answered: %+v, %v", request, msg, err)
		}
	}
	var answer query.Roster
	r.ask(t, subject.PresenceRoster, `{"room":"hall","offset":-1}`, &answer)
	r.ask(t, subject.PresenceRoster, `{"room":"hall","offset":9007199254740993}`, &answer)
}

// Row 78: what a known type's event says can't be passed over, or the roster would be wrong without anybody knowing.
func TestAnEventThatDoesNotDecodeStopsTheProjection(t *testing.T) {
	r := newRegion(t)
	s, stop := r.presence(quick("p1"))
	until(t, 10*time.Second, "ready", s.Ready)
	if _, err := r.edge.JetStream().Publish(t.Context(), subject.Event("eu", "hall", "session", "x"),
		[]byte(`{"type":"session.from_tomorrow","v":1,"room":"hall","at":"2026-11-20T12:00:00Z","by":"e","data":{}}`)); err != nil {
		t.Fatal(err)
	}
	at := r.join("hall", "s1", "e1")
	until(t, 5*time.Second, "past an unknown type", func() bool { return s.position() == at })
	if _, err := r.edge.JetStream().Publish(t.Context(), subject.Event("eu", "hall", "session", "y"),
		[]byte(`{"type":"session.joined","v":1,"room":"hall","at":"2026-11-20T12:00:00Z","by":"e","data":{"session":7}}`)); err != nil {
		t.Fatal(err)
	}
	until(t, 5*time.Second, "silent", func() bool {
		_, err := r.edge.Conn().Request(subject.PresenceRooms, nil, 100*time.Millisecond)
		return err != nil
	})
	if err := stop(); err == nil || !strings.Contains(err.Error(), "session.joined") {
		t.Errorf("Run = %v, want the event that does not decode", err)
	}
}

// Row 91 of the catalogue.
func TestConfigTellsEveryProblemAtOnce(t *testing.T) {
	err := Config{Instance: "a.b", Silence: -1, Deaf: 1, Listen: 2}.Validate()
	for _, part := range []string{"instance", "silence", "deaf"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("Validate() = %v, want %q in it", err, part)
		}
	}
	if err := (Config{Instance: "p1"}).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// An event that this build does not know has moved its subject on: what is appended to it next must expect that.
func TestEventsOfNewerBuildsKeepNobodyInTheRoom(t *testing.T) {
	r := newRegion(t)
	kill := r.beating("e1", 100*time.Millisecond)
	joined := r.join("hall", "s", "e1")
	r.append("hall", room.Unknown{Kind: "session", ID: "s", Name: "session.waved", Version: 2}, joined)
	s, _ := r.presence(quick("p1"))
	until(t, 5*time.Second, "ready", s.Ready)
	kill()
	until(t, 10*time.Second, "left", func() bool { return r.facts(t, "hall")["s"]["session.left"] == 1 })
}
