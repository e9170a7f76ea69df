package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
	"airloom/services/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet    = slog.New(slog.DiscardHandler)
	defaults = room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}
	bundle   = fstest.MapFS{
		"index.html": {Data: []byte("<!doctype html>app")}, "assets/app-x7.js": {Data: []byte("go()")},
		"worklet.js": {Data: []byte("tick()")}, ".keep": {},
	}
)

// house is an edge's REST door on a real server, with NATS behind it.
type house struct {
	t    *testing.T
	nats *bus.Server
	log  *eventlog.Log
	keys *auth.Keys
	http *httptest.Server
	stop chan struct{}
}

// build opens a house; change may amend what it is built from.
func build(t *testing.T, change func(*Config, *Deps)) *house {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Lazy: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	h := &house{t: t, nats: server, keys: newKeys(t), stop: make(chan struct{})}
	if err := h.connect(bus.Admin).EnsureStreams(t.Context(), bus.Streams{Region: "local"}); err != nil {
		t.Fatal(err)
	}
	b := h.connect(bus.Edge)
	h.log = eventlog.New(b, "local", "edge-1", defaults, quiet)
	cfg := Config{Keys: h.keys, Listen: "127.0.0.1:0"}
	deps := Deps{Bus: b, Log: h.log, Logger: quiet, Pages: bundle, Stop: h.stop}
	if change != nil {
		change(&cfg, &deps)
	}
	door, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	h.http = httptest.NewUnstartedServer(nil)
	h.http.Config = Server(door, quiet)
	h.http.Start()
	t.Cleanup(h.http.Close)
	return h
}

func newKeys(t testing.TB) *auth.Keys {
	t.Helper()
	private, err := auth.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewKeys(private)
}

func (h *house) connect(role bus.Role) *bus.Bus {
	h.t.Helper()
	b, err := bus.Connect(h.t.Context(), h.nats.Config(role), quiet)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(b.Close)
	return b
}

// presence runs a presence service and returns when it answers.
func (h *house) presence() {
	h.t.Helper()
	b := h.connect(bus.Presence)
	service, err := presence.New(presence.Config{Instance: "presence-1"}, b, eventlog.New(b, "local", "presence-1", defaults, quiet), quiet)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	h.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("presence: %v", err)
		}
	})
	h.until("presence is ready", service.Ready)
}

// until waits for a condition that another goroutine brings about.
func (h *house) until(what string, ok func() bool) {
	h.t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(10*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			h.t.Fatalf("waited 10 s in vain: %s", what)
		}
	}
}

// recorder answers as a recorder service would, from files given here.
func (h *house) recorder(recordings []query.Recording, files map[string]string) {
	h.t.Helper()
	conn := h.connect(bus.Recorder).Conn()
	h.answer(conn, subject.RecorderList, func(m *nats.Msg) error {
		return respond(m, query.Recordings{Recordings: recordings, Damaged: []string{"r0"}})
	})
	h.answer(conn, subject.RecorderFiles, func(m *nats.Msg) error {
		var q query.RecordingQuestion
		if err := json.Unmarshal(m.Data, &q); err != nil {
			return err
		}
		return respond(m, query.RecordingFiles{Recording: q.Recording, Files: slices.Sorted(maps.Keys(files))})
	})
	for _, on := range []string{subject.RecorderRebuild, subject.RecorderRebuildAt("rec7")} {
		h.answer(conn, on, func(m *nats.Msg) error {
			var q query.RebuildQuestion
			if err := json.Unmarshal(m.Data, &q); err != nil {
				return err
			}
			switch {
			case q.Recording == "r2":
				return query.Refuse(m, http.StatusConflict, "the recording is not closed yet")
			case q.Recording == "r3":
				return query.Refuse(m, http.StatusTooManyRequests, "others are being rebuilt")
			case q.Recording != "r1" || q.Room != "" && q.Room != "hall":
				return query.Refuse(m, http.StatusNotFound, "no such recording")
			}
			answer := query.Rebuild{
				Recording: "r1", Room: "hall", Recorder: "rec7", State: query.RebuildRunning, DryRun: q.DryRun, Tracks: 1,
				Objects: []query.RebuiltObject{{Object: "aaaaaab.opus", State: query.ObjectDamaged, PutBack: true}}, Notes: []string{"the log begins at 9"},
			}
			if q.Recorder != "" {
				answer.State = query.RebuildDone
			}
			return respond(m, answer)
		})
	}
	h.answer(conn, subject.RecorderGet, func(m *nats.Msg) error {
		var q query.RecordingQuestion
		if err := json.Unmarshal(m.Data, &q); err != nil {
			return err
		}
		for _, r := range recordings {
			switch {
			case r.Recording == q.Recording && r.State == "long":
				return query.Refuse(m, http.StatusRequestEntityTooLarge, "too long for one answer")
			case r.Recording == q.Recording && r.State == "damaged":
				return query.Refuse(m, http.StatusUnprocessableEntity, "not JSON")
			case r.Recording == q.Recording && r.State == "broken":
				return query.Refuse(m, http.StatusServiceUnavailable, "the blob store does not answer; try again")
			case r.Recording == q.Recording:
				return respond(m, map[string]any{"recording": r.Recording, "room": r.Room, "version": 1})
			}
		}
		return query.Refuse(m, http.StatusNotFound, "no such recording")
	})
	h.answer(conn, subject.RecorderRead, func(m *nats.Msg) error {
		var q query.FileQuestion
		if err := json.Unmarshal(m.Data, &q); err != nil {
			return err
		}
		body, ok := files[q.File]
		if !ok {
			return query.Refuse(m, http.StatusNotFound, "no such file")
		}
		from := min(q.Offset, int64(len(body)))
		reply := nats.NewMsg(m.Reply)
		reply.Data = []byte(body[from:min(from+int64(q.Length), int64(len(body)))])
		reply.Header.Set(query.HeaderSize, strconv.Itoa(len(body)))
		reply.Header.Set(query.HeaderSHA256, strings.Repeat("ab", 32))
		return m.RespondMsg(reply)
	})
	if err := conn.Flush(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) answer(conn *nats.Conn, on string, give func(*nats.Msg) error) {
	h.t.Helper()
	if _, err := conn.QueueSubscribe(on, "recorder", func(m *nats.Msg) {
		if err := give(m); err != nil {
			h.t.Errorf("answer %s: %v", on, err)
		}
	}); err != nil {
		h.t.Fatal(err)
	}
}

func respond(m *nats.Msg, v any) error {
	body, err := json.Marshal(v)
	return errors.Join(err, m.Respond(body))
}

// token makes one with these rights in a room.
func (h *house) token(roomName string, rights ...string) string {
	h.t.Helper()
	granted := map[string]bool{}
	for _, right := range rights {
		granted[right] = true
	}
	body, err := json.Marshal(granted)
	if err != nil {
		h.t.Fatal(err)
	}
	claims := auth.Claims{Identity: "tester", Name: "Tester", Room: roomName}
	if err := json.Unmarshal(body, &claims.Grants); err != nil {
		h.t.Fatal(err)
	}
	token, err := h.keys.Mint(claims, time.Hour)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

// answer is what came back.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request; body may be "", header pairs follow.
func (h *house) do(method, path, token, body string, header ...string) answer {
	h.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.http.URL+path, in)
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header[http.CanonicalHeaderKey(header[i])] = append(r.Header[http.CanonicalHeaderKey(header[i])], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	response, err := h.http.Client().Transport.RoundTrip(r) // follows no redirect
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{Response: response, body: b}
}

// refused checks that the answer is a problem document with this status and code.
func (a answer) refused(t *testing.T, what string, status int, code string) {
	t.Helper()
	var p struct {
		Status int
		Code   string
		Detail string
	}
	if err := json.Unmarshal(a.body, &p); err != nil || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s: %d %s %.200q is no problem document", what, a.StatusCode, a.Header.Get("Content-Type"), a.body)
		return
	}
	if a.StatusCode != status || p.Status != status || (code != "" && p.Code != code) || p.Detail == "" {
		t.Errorf("%s: %d %s (%s), want %d %s", what, a.StatusCode, p.Code, p.Detail, status, code)
	}
}

// into reads a success.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if a.StatusCode/100 != 2 {
		t.Fatalf("%d %s", a.StatusCode, a.body)
	}
	if err := json.NewDecoder(bytes.NewReader(a.body)).Decode(v); err != nil {
		t.Fatalf("%v: %.500s", err, a.body)
	}
}

// join puts somebody into a room.
func (h *house) join(roomName, session string) {
	h.t.Helper()
	_, _, err := h.log.Decide(h.t.Context(), roomName, "", func(s *room.State) (room.Draft, error) {
		return s.Join(room.Joined{
			Session: session, Identity: session, Name: session, Edge: "edge-1", ResumeHash: "secret-hash",
			Grants: room.Grants{Listen: true, Speak: true},
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// speak starts a track.
func (h *house) speak(roomName, session, track string, handle uint32) {
	h.t.Helper()
	_, _, err := h.log.Decide(h.t.Context(), roomName, "", func(s *room.State) (room.Draft, error) {
		return s.StartTrack(room.TrackStarted{
			Track: track, Handle: handle, Session: session, Name: "mic", Channels: 1, FrameMS: 20,
			Clock: &room.Clock{Timestamp: 960, UnixMicro: 1_800_000_000_000_000},
		})
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// decide appends an event as an edge would.
func (h *house) decide(roomName string, f func(*room.State) (room.Draft, error)) {
	h.t.Helper()
	if _, _, err := h.log.Decide(h.t.Context(), roomName, "", f); err != nil {
		h.t.Fatal(err)
	}
}
