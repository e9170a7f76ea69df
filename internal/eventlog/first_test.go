package eventlog_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// The first event of a session is found, and of one that is not there it is said so.
func TestFirst(t *testing.T) {
	_, _, log := open(t)
	if _, _, err := log.Decide(t.Context(), "hall", "", join("s1")); err != nil {
		t.Fatal(err)
	}
	e, err := log.First(t.Context(), "hall", "session", "s1")
	if err != nil {
		t.Fatal(err)
	}
	if joined, ok := e.Fact.(room.Joined); !ok || joined.Session != "s1" || e.Position != 1 {
		t.Errorf("event %+v", e)
	}
	if _, err := log.First(t.Context(), "hall", "session", "s2"); !errors.Is(err, eventlog.ErrNoEvent) {
		t.Errorf("of a session that never was: %v", err)
	}
}

// A replica that lags behind has no such event yet; its leader has. No real replica lags on demand: the answers are written by hand, in the form
// of nats-server's.
func TestFirstOfALaggingReplica(t *testing.T) {
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	b, err := bus.Connect(t.Context(), bus.Config{URL: ns.ClientURL()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	log := eventlog.New(b, "local", "test", recordDefaults, slog.New(slog.DiscardHandler))
	on := subject.Event("local", "hall", "session", "s1")
	event, err := json.Marshal(room.Event{Room: "hall", At: time.Now(), By: "e", Fact: room.Joined{Session: "s1", Identity: "i", Edge: "e"}})
	if err != nil {
		t.Fatal(err)
	}
	for asked, answer := range map[string]nats.MsgHandler{
		"$JS.API.DIRECT.GET.EV_local": func(m *nats.Msg) {
			_ = m.RespondMsg(&nats.Msg{Header: nats.Header{"Status": {"404"}, "Description": {"Message Not Found"}}})
		},
		"$JS.API.STREAM.MSG.GET.EV_local": func(m *nats.Msg) {
			var ask struct {
				Seq    int
				Filter string `json:"next_by_subj"`
			}
			if json.Unmarshal(m.Data, &ask) != nil || ask.Seq != 1 || ask.Filter != on {
				_ = m.Respond([]byte(`{"error":{"err_code":10037,"description":"no message found"}}`))
				return
			}
			told, _ := json.Marshal(map[string]any{"message": map[string]any{"subject": on, "seq": 7, "data": event, "time": time.Now()}})
			_ = m.Respond(told)
		},
	} {
		if _, err := b.Conn().Subscribe(asked, answer); err != nil {
			t.Fatal(err)
		}
	}
	e, err := log.First(t.Context(), "hall", "session", "s1")
	if err != nil {
		t.Fatal(err)
	}
	if e.Position != 7 {
		t.Errorf("event %+v", e)
	}
	if _, err := log.First(t.Context(), "hall", "session", "s2"); !errors.Is(err, eventlog.ErrNoEvent) {
		t.Errorf("of a session that never was: %v", err)
	}
}
