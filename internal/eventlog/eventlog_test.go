package eventlog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T) (*bus.Server, *bus.Bus, *eventlog.Log) {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	admin := connect(t, server, bus.Admin)
	if err := admin.EnsureStreams(t.Context(), bus.Streams{Region: "local"}); err != nil {
		t.Fatal(err)
	}
	b := connect(t, server, bus.Edge)
	return server, b, eventlog.New(b, "local", "test", room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}, slog.New(slog.DiscardHandler))
}

func connect(t *testing.T, server *bus.Server, role bus.Role) *bus.Bus {
	t.Helper()
	b, err := bus.Connect(t.Context(), server.Config(role), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// follower is the log to a service that may follow it; edges hear events live.
func follower(t *testing.T, server *bus.Server) *eventlog.Log {
	t.Helper()
	return eventlog.New(connect(t, server, bus.Presence), "local", "presence", room.Settings{}, slog.New(slog.DiscardHandler))
}

func join(session string) func(*room.State) (room.Draft, error) {
	return func(s *room.State) (room.Draft, error) {
		return s.Join(room.Joined{Session: session, Identity: session, Edge: "e"})
	}
}

func TestLoadIsTheFoldOfWhatWasAppended(t *testing.T) {
	_, _, log := open(t)
	ctx := t.Context()
	for i := range 5 {
		if _, _, err := log.Decide(ctx, "hall", "", join(fmt.Sprintf("s%d", i))); err != nil {
			t.Fatal(err)
		}
		if _, _, err := log.Decide(ctx, "other", "", join(fmt.Sprintf("o%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := log.Decide(ctx, "hall", "", func(s *room.State) (room.Draft, error) { return s.Leave("s2", room.Bye) }); err != nil {
		t.Fatal(err)
	}
	state, err := log.Load(ctx, "hall")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range state.Roster() {
		got = append(got, p.Session)
	}
	if want := []string{"s0", "s1", "s3", "s4"}; !reflect.DeepEqual(got, want) {
		t.Fatalf("roster = %v, want %v", got, want)
	}
}

func TestOneOfManyWritersWins(t *testing.T) {
	_, _, log := open(t)
	ctx := t.Context()
	if _, _, err := log.Decide(ctx, "hall", "", join("s")); err != nil {
		t.Fatal(err)
	}
	state, err := log.Load(ctx, "hall")
	if err != nil {
		t.Fatal(err)
	}
	draft, _ := state.Leave("s", room.Timeout)
	var wins, conflicts int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := log.Append(ctx, "hall", draft, "")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
			case errors.Is(err, eventlog.ErrConflict):
				conflicts++
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins != 1 || conflicts != 19 {
		t.Fatalf("wins %d, conflicts %d; want 1 and 19", wins, conflicts)
	}
}

func TestFollowGivesHistoryThenNews(t *testing.T) {
	server, _, log := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 3 {
		if _, _, err := log.Decide(ctx, "hall", "", join(fmt.Sprintf("s%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	caughtUp, heard, done := make(chan struct{}), make(chan string, 10), make(chan error, 1)
	go func() {
		done <- follower(t, server).Follow(ctx, 0, func() { close(caughtUp) }, func(e *room.Event) error {
			heard <- e.Fact.(room.Joined).Session
			return nil
		})
	}()
	<-caughtUp
	if _, _, err := log.Decide(ctx, "hall", "", join("s3")); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if got, want := <-heard, fmt.Sprintf("s%d", i); got != want {
			t.Fatalf("event %d is of %s, want %s", i, got, want)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("Follow = %v", err)
	}
}

func TestCommittedEventsAreRepublishedToTheRoom(t *testing.T) {
	_, b, log := open(t)
	sub, err := b.Conn().SubscribeSync(subject.LiveRoom("hall"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := log.Decide(t.Context(), "hall", "", join("s")); err != nil {
		t.Fatal(err)
	}
	msg, err := sub.NextMsg(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if p := subject.Parse(msg.Subject); p.Kind != subject.Fact || p.Room != "hall" || p.Entity != "session" || p.ID != "s" {
		t.Fatalf("republished on %s", msg.Subject)
	}
	e, err := log.DecodeRepublished(msg)
	if err != nil || e.Position == 0 || e.Fact.Type() != "session.joined" {
		t.Fatalf("event %+v, %v", e, err)
	}
}

// Events of a newer build take their place in every reader's order, and whoever decides after them is not refused for ever.
func TestUnknownEventsArePassedOver(t *testing.T) {
	server, b, log := open(t)
	ctx := t.Context()
	sub, err := b.Conn().SubscribeSync(subject.LiveRoom("hall"))
	if err != nil {
		t.Fatal(err)
	}
	joined, err := log.Append(ctx, "hall", room.Draft{Fact: room.Joined{Session: "s", Identity: "ann", Edge: "e"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	news := room.Unknown{Kind: "session", ID: "s", Name: "session.waved", Version: 7, Data: json.RawMessage(`{"hand":"left"}`)}
	position, err := log.Append(ctx, "hall", room.Draft{Fact: news, Expect: joined}, "")
	if err != nil {
		t.Fatal(err)
	}
	state, err := log.Load(ctx, "hall")
	if err != nil || state.Position != position || state.LastOn("session", "s") != position {
		t.Fatalf("loaded up to %d (subject %d) of %d, %v", state.Position, state.LastOn("session", "s"), position, err)
	}
	var read *room.Event
	keep := func(e *room.Event) error { read = e; return nil }
	if err := log.Events(ctx, "hall", joined, keep); err != nil || !reflect.DeepEqual(read.Fact, news) || read.Position != position {
		t.Errorf("Events: %+v, %v", read, err)
	}
	enough := errors.New("enough")
	err = follower(t, server).Follow(ctx, joined, nil, func(e *room.Event) error { read = e; return enough })
	if !errors.Is(err, enough) || !reflect.DeepEqual(read.Fact, news) || read.Position != position || read.Room != "hall" {
		t.Errorf("Follow: %+v, %v", read, err)
	}
	for range 2 {
		msg, err := sub.NextMsg(5 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if read, err = log.DecodeRepublished(msg); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(read.Fact, news) || read.Position != position {
		t.Errorf("republished: %+v", read)
	}
	if _, _, err := log.Decide(ctx, "hall", "", func(s *room.State) (room.Draft, error) { return s.Leave("s", room.Bye) }); err != nil {
		t.Error(err)
	}
	if log.Unknown() == 0 {
		t.Error("not counted")
	}
}

// A role can do its work and nothing else.
func TestOnlyAdminTouchesStreams(t *testing.T) {
	server, _, _ := open(t)
	for _, role := range []bus.Role{bus.Edge, bus.Presence, bus.Recorder} {
		b := connect(t, server, role)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if err := b.JetStream().DeleteStream(ctx, subject.EventStream("local")); err == nil {
			t.Errorf("%s deleted the event stream", role)
		}
		cancel()
	}
	recorder := connect(t, server, bus.Recorder)
	log := eventlog.New(recorder, "local", "rec", room.Settings{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if _, _, err := log.Decide(ctx, "hall", "", join("x")); !errors.Is(err, eventlog.ErrAway) {
		t.Errorf("a recorder's join: %v, want a denied append", err)
	}
}

// A region without its stream is not a region without events.
func TestNoStreamIsAway(t *testing.T) {
	_, b, _ := open(t)
	log := eventlog.New(b, "elsewhere", "test", room.Settings{}, slog.New(slog.DiscardHandler))
	if _, err := log.Load(t.Context(), "hall"); !errors.Is(err, eventlog.ErrAway) {
		t.Errorf("Load = %v, want ErrAway", err)
	}
}
