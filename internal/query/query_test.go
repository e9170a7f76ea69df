package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/subject"
	"airloom/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is an edge that asks and a recorder that answers by give.
func pair(t *testing.T, on string, give func(*nats.Msg) error) *nats.Conn {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Lazy: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	connect := func(role bus.Role) *nats.Conn {
		b, err := bus.Connect(t.Context(), server.Config(role), quiet)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b.Conn()
	}
	if give != nil {
		conn := connect(bus.Recorder)
		if _, err := conn.Subscribe(on, func(m *nats.Msg) {
			if err := give(m); err != nil {
				t.Errorf("answer: %v", err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	return connect(bus.Edge)
}

func TestAskTellsRefusalsApart(t *testing.T) {
	for _, c := range []struct {
		what string
		give func(*nats.Msg) error
		want int // status of the refusal, 0: an answer, -1: another error
	}{
		{"an answer", func(m *nats.Msg) error { return m.Respond([]byte(`{"recordings":[],"more":true}`)) }, 0},
		{"by headers", func(m *nats.Msg) error { return query.Refuse(m, 404, "no such recording") }, 404},
		{"by the body", func(m *nats.Msg) error { return m.Respond([]byte(`{"error":"no"}`)) }, 400},
		{"an answer that has an error beside others", func(m *nats.Msg) error { return m.Respond([]byte(`{"error":"no","more":true}`)) }, 0},
		{"headers without a code", func(m *nats.Msg) error {
			return m.RespondMsg(&nats.Msg{Header: nats.Header{"Nats-Service-Error": {"no"}}})
		}, 500},
		{"no JSON", func(m *nats.Msg) error { return m.Respond([]byte("x")) }, -1},
		{"nothing", func(m *nats.Msg) error { return m.Respond(nil) }, -1},
	} {
		t.Run(c.what, func(t *testing.T) {
			var answer query.Recordings
			err := query.Ask(t.Context(), pair(t, subject.RecorderList, c.give), subject.RecorderList, query.RecordingsQuestion{}, &answer)
			var refused *query.Refused
			switch {
			case c.want == 0 && (err != nil || !answer.More):
				t.Errorf("Ask = %v, %+v", err, answer)
			case c.want == -1 && (err == nil || errors.As(err, &refused)):
				t.Errorf("Ask = %v", err)
			case c.want > 0 && (!errors.As(err, &refused) || refused.Status != c.want || refused.Text == ""):
				t.Errorf("Ask = %v, want status %d", err, c.want)
			}
		})
	}
}

func TestAskWithoutAnAnswer(t *testing.T) {
	if err := query.Ask(t.Context(), pair(t, "", nil), subject.RecorderList, nil, nil); !errors.Is(err, query.ErrNobody) {
		t.Errorf("nobody there: %v", err)
	}
	conn := pair(t, subject.RecorderList, func(*nats.Msg) error { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := query.Ask(ctx, conn, subject.RecorderList, nil, nil); !errors.Is(err, query.ErrSilent) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
}

func TestQuestionsCarryTheTrace(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	conn := pair(t, subject.RecorderList, func(m *nats.Msg) error {
		body, err := json.Marshal(query.Recordings{More: m.Header["traceparent"] != nil && m.Header["traceparent"][0] == parent})
		return errors.Join(err, m.Respond(body))
	})
	var answer query.Recordings
	if err := query.Ask(telemetry.FromTraceparent(t.Context(), parent), conn, subject.RecorderList, query.RecordingsQuestion{}, &answer); err != nil || !answer.More {
		t.Errorf("Ask = %v, the trace came: %v", err, answer.More)
	}
}

func TestAskFileRefusesWhatIsNoAnswer(t *testing.T) {
	for what, header := range map[string]nats.Header{
		"good": {query.HeaderSize: {"4"}, query.HeaderSHA256: {"ab"}}, "no size": {}, "negative": {query.HeaderSize: {"-1"}}, "no number": {query.HeaderSize: {"x"}},
	} {
		conn := pair(t, subject.RecorderRead, func(m *nats.Msg) error { return m.RespondMsg(&nats.Msg{Header: header, Data: []byte("OggS")}) })
		part, err := query.AskFile(t.Context(), conn, query.FileQuestion{Recording: "r", File: "f", Length: 4})
		if good := what == "good"; good != (err == nil) || good && (part.Size != 4 || part.SHA256 != "ab" || string(part.Data) != "OggS") {
			t.Errorf("%s: %+v, %v", what, part, err)
		}
		if _, err := query.AskFile(t.Context(), conn, query.FileQuestion{Length: 3}); err == nil {
			t.Errorf("%s: more than was asked for is taken", what)
		}
	}
}
