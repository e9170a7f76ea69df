package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// One replica of the event stream has lost some events. An edge reads rooms from whichever replica answers: a later event on the
// same subject tells that one is missing, or the number that others have, and they have it. So no load is without it, and the damage is
// told.
func TestRow87DamagedEventsAreReadFromOtherReplicas(t *testing.T) {
	t.Parallel()
	for name, happen := range map[string]func(*testing.T, *eventlog.Log){"with successors": happen, "without successors": comeAndGo} {
		t.Run(name, func(t *testing.T) { damagedEvents(t, happen) })
	}
}

func damagedEvents(t *testing.T, happen func(*testing.T, *eventlog.Log)) {
	nodes := startNATS(t, natsConf{nodes: 3, users: true})
	f := newFabric(t, urls(nodes...))
	f.users = true
	f.initLog("--nats-wait", "20s")
	admin := raw(t, f.nats, bus.Admin, nil)
	settled(t, admin, subject.EventStream("local"))

	var said lockedBuffer
	b, err := bus.Connect(t.Context(), bus.Config{
		URL: f.nats, Role: bus.Edge, Name: "edge", User: string(bus.Edge), Password: password(bus.Edge),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	defaults := room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}
	log := eventlog.New(b, "local", "e", defaults, slog.New(slog.NewTextHandler(&said, nil)))
	happen(t, log)
	want, err := log.Load(t.Context(), "hall")
	if err != nil || want.Events() != 250 {
		t.Fatalf("%d events, %v", want.Events(), err)
	}

	victim := nodes[0]
	victim.interrupt(t)
	victim.wait(t, 20*time.Second)
	damage(t, filepath.Dir(victim.conf), subject.EventStream("local"), recordHeader+60)
	victim.start(t)
	victim.await(t)
	settled(t, admin, subject.EventStream("local"))

	met := func() bool { return strings.Contains(said.String(), "one replica lacks") }
	begin := time.Now()
	for try := 0; try < 40 || !met() && time.Since(begin) < time.Minute; try++ { // each by a new reader, which knows of no damage yet; the replica answers some time after its start
		log := eventlog.New(b, "local", "e", defaults, slog.New(slog.NewTextHandler(&said, nil)))
		if try%2 == 0 {
			allEvents(t, log)
			continue
		}
		got, err := log.Load(t.Context(), "hall")
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("load %d: %v; %d events of %d, %d sessions of %d", try, err, got.Events(), want.Events(), len(got.Sessions), len(want.Sessions))
		}
	}
	if !met() {
		t.Error("no load has met the damage: this test looks at the wrong place")
	}
	if strings.Contains(said.String(), "ALARM") {
		t.Errorf("something is lost: %s", said.String())
	}
}

// allEvents reads the 250 events of the hall. A reading that finds too late that it lacked some says so, and the next one has them.
func allEvents(t *testing.T, log *eventlog.Log) {
	t.Helper()
	for try := range 2 {
		n := 0
		err := log.Events(t.Context(), "hall", 0, func(*room.Event) error { n++; return nil })
		if err == nil && n == 250 || try == 0 && errors.Is(err, eventlog.ErrTorn) {
			continue
		}
		t.Fatalf("%d events read of 250, %v", n, err)
	}
}

// happen lets fifty people join, move three times and leave, all at once, so that what a quarter, a half and three quarters of the
// events are has a successor.
func happen(t *testing.T, log *eventlog.Log) {
	t.Helper()
	const people = 50
	last := make([]uint64, people)
	for round := range 5 {
		for i := range last {
			session := fmt.Sprint("s", i)
			var fact room.Fact = room.Moved{Session: session, Edge: fmt.Sprint("edge-", round)}
			switch round {
			case 0:
				fact = room.Joined{Session: session, Identity: session, Edge: "edge-0", ResumeHash: strings.Repeat("0", 64)}
			case 4:
				fact = room.Left{Session: session, Reason: room.Bye}
			}
			var err error
			if last[i], err = log.Append(t.Context(), "hall", room.Draft{Fact: fact, Expect: last[i]}, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// comeAndGo lets people join and leave one after the other, so that the events at a half and at three quarters are leaves: the last ones
// on their subjects.
func comeAndGo(t *testing.T, log *eventlog.Log) {
	t.Helper()
	for i := range 125 {
		session := fmt.Sprint("s", i)
		joined, err := log.Append(t.Context(), "hall", room.Draft{Fact: room.Joined{Session: session, Identity: session, Edge: "e", ResumeHash: strings.Repeat("0", 64)}}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := log.Append(t.Context(), "hall", room.Draft{Fact: room.Left{Session: session, Reason: room.Bye}, Expect: joined}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
