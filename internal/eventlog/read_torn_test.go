package eventlog_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
)

// An answer of many messages loses one of them on its way, as when the connection changes servers meanwhile. Each says which one was
// sent before it, so the reading goes on from the last one that is sure.
func TestAnAnswerThatLostAMessageIsReadAgain(t *testing.T) {
	log, asked := handwritten(t, func(try int64, from, at int) bool { return try == 1 && at == 3 || try == 2 && at == from })
	if state := load(t, log, "hall"); state.Events() != events {
		t.Errorf("%d events are folded, there are %d", state.Events(), events)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3: two answers had lost something", n)
	}
}

// The leader has events, and whoever answers has none of them and goes on having none: that is an answer, not a reading without end.
func TestAReadingOfWhatNoReplicaHasEnds(t *testing.T) {
	log, asked := handwritten(t, func(int64, int, int) bool { return true })
	if _, err := log.Load(t.Context(), "hall"); !errors.Is(err, eventlog.ErrAway) {
		t.Errorf("it says %v", err)
	}
	if n := asked.Load(); n < 10 {
		t.Errorf("it gave up after %d answers: a replica may lag", n)
	}
}

const events = 5 // that the handwritten log has, all in the hall

// handwritten is a log whose answers are written by hand, in the form of nats-server's direct reads: no real server loses messages on
// demand. lost says what the answer to a try, which asked from a position on, lacks. asked counts the tries.
func handwritten(t *testing.T, lost func(try int64, from, at int) bool) (log *eventlog.Log, asked *atomic.Int64) {
	t.Helper()
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
	log = eventlog.New(b, "local", "test", recordDefaults, slog.New(slog.DiscardHandler))

	asked = new(atomic.Int64)
	answer := func(m *nats.Msg, header string, body []byte) {
		reply := &nats.Msg{Subject: m.Reply, Data: body, Header: nats.Header{}}
		var at, before, left int
		if n, _ := fmt.Sscanf(header, "%d %d %d", &at, &before, &left); n == 3 {
			for key, value := range map[string]string{
				"Nats-Stream": "EV_local", "Nats-Subject": fmt.Sprint("ev.local.1.hall.session.s", at), "Nats-Sequence": fmt.Sprint(at),
				"Nats-Time-Stamp": time.Now().UTC().Format(time.RFC3339Nano), "Nats-Num-Pending": fmt.Sprint(left), "Nats-Last-Sequence": fmt.Sprint(before),
			} {
				reply.Header.Set(key, value)
			}
		} else if header != "" {
			reply.Header.Set("Status", header[:3])
			reply.Header.Set("Description", header[4:])
		}
		_ = m.RespondMsg(reply)
	}
	for on, hear := range map[string]nats.MsgHandler{
		"$JS.API.STREAM.MSG.GET.EV_local": func(m *nats.Msg) {
			answer(m, "", fmt.Appendf(nil, `{"message":{"seq":%d}}`, events))
		},
		"$JS.API.DIRECT.GET.SNAP_local": func(m *nats.Msg) { answer(m, "404 Message Not Found", nil) },
		"$JS.API.DIRECT.GET.EV_local": func(m *nats.Msg) {
			var ask struct{ Seq int }
			_ = json.Unmarshal(m.Data, &ask)
			try, before := asked.Add(1), 0
			for at := ask.Seq; at <= events; at++ {
				body, _ := json.Marshal(room.Event{Room: "hall", At: time.Now(), By: "e", Fact: room.Joined{
					Session: fmt.Sprint("s", at), Identity: fmt.Sprint("i", at), Edge: "e"}})
				if !lost(try, ask.Seq, at) {
					answer(m, fmt.Sprint(at, before, events-at), body)
				}
				before = at
			}
			answer(m, "204 EOB", nil)
		},
	} {
		if _, err := b.Conn().Subscribe(on, hear); err != nil {
			t.Fatal(err)
		}
	}
	return log, asked
}
