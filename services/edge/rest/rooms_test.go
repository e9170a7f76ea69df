package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"airloom/internal/query"
	"airloom/internal/room"
)

func TestWithoutServicesReadsSaySo(t *testing.T) {
	h := build(t, nil)
	token := h.token("*", "listen", "record")
	for path, code := range map[string]string{
		"/v1/rooms": "no_presence", "/v1/rooms/hall": "no_presence", "/v1/rooms/hall/participants": "no_presence",
		"/v1/recordings": "no_recorder", "/v1/recordings/r1": "no_recorder", "/v1/recordings/r1/files/x": "no_recorder", "/v1/recordings/r1/files": "no_recorder",
	} {
		a := h.do("GET", path, token, "")
		a.refused(t, path, http.StatusServiceUnavailable, code)
		if service := strings.TrimPrefix(code, "no_"); !strings.Contains(string(a.body), "No "+service+" service is running") || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := h.do("GET", "/v1/rooms/hall?at=2026-11-20T12:00:00Z", token, ""); a.StatusCode != http.StatusOK {
		t.Errorf("at needs no presence: %d %s", a.StatusCode, a.body)
	}
}

func TestRoomsAndRosters(t *testing.T) {
	h := build(t, nil)
	h.presence()
	h.join("hall", "ada")
	h.join("cellar", "bob")
	h.speak("hall", "ada", "aaaaaab", 1)
	token := h.token("*", "listen")
	var list query.Rooms
	h.until("presence knows both rooms and the track", func() bool {
		h.do("GET", "/v1/rooms", token, "").into(t, &list)
		return len(list.Rooms) == 2 && list.Rooms[1].Tracks == 1
	})
	if hall := list.Rooms[1]; hall.Room != "hall" || hall.Present != 1 || hall.Keep != room.KeepRewind {
		t.Errorf("rooms %+v", list.Rooms)
	}
	h.do("GET", "/v1/rooms?after=cellar", token, "").into(t, &list)
	if len(list.Rooms) != 1 {
		t.Errorf("behind cellar: %+v", list.Rooms)
	}
	h.do("GET", "/v1/rooms", h.token("hall", "listen"), "").into(t, &list)
	if len(list.Rooms) != 1 || list.Rooms[0].Room != "hall" || list.Rooms[0].Present != 1 || list.Rooms[0].Tracks != 1 {
		t.Errorf("a token for hall sees %+v", list.Rooms)
	}
	h.do("GET", "/v1/rooms", h.token("attic", "listen"), "").into(t, &list)
	if list.Rooms == nil || len(list.Rooms) != 0 {
		t.Errorf("a token for a room where nothing happened sees %+v", list.Rooms)
	}

	var now, then query.Roster
	h.do("GET", "/v1/rooms/hall", token, "").into(t, &now)
	h.do("GET", "/v1/rooms/hall?at="+time.Now().Add(time.Minute).UTC().Format(time.RFC3339), token, "").into(t, &then)
	a, _ := json.Marshal(now)
	b, _ := json.Marshal(then)
	if string(a) != string(b) {
		t.Errorf("presence says %s, the log %s", a, b)
	}
	h.do("GET", "/v1/rooms/hall?at=2026-01-01T00:00:00Z", token, "").into(t, &then)
	if then.Total != 0 || then.Participants == nil || then.Position != 0 {
		t.Errorf("before it began: %+v", then)
	}
	var unknown query.Roster
	h.do("GET", "/v1/rooms/attic", token, "").into(t, &unknown)
	if unknown.Room.Keep != defaults.Keep || unknown.Participants == nil || unknown.Position != 0 {
		t.Errorf("a room nobody made: %+v", unknown)
	}
}

func TestRoomsLife(t *testing.T) {
	h := build(t, nil)
	token := h.token("*", "moderate", "record")
	do := func(want int, method, path, body string) roomAnswer {
		t.Helper()
		a := h.do(method, path, token, body)
		if a.StatusCode != want {
			t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, a.StatusCode, a.body, want)
		}
		var got roomAnswer
		a.into(t, &got)
		return got
	}
	made := do(201, "POST", "/v1/rooms", `{"room":"hall","capacity":5}`)
	if made.Room.Capacity != 5 || made.Room.Keep != defaults.Keep || made.Position == 0 {
		t.Errorf("created %+v", made)
	}
	if again := do(200, "POST", "/v1/rooms", `{"room":"hall","capacity":5}`); again.Position != made.Position {
		t.Errorf("created again %+v", again)
	}
	h.do("POST", "/v1/rooms", token, `{"room":"hall"}`).refused(t, "other settings", http.StatusConflict, "room_exists")
	if set := do(200, "PUT", "/v1/rooms/hall/settings", `{"speak":"moderators"}`); set.Room.Speak != "moderators" || set.Room.Capacity != 5 {
		t.Errorf("set %+v", set)
	}
	h.do("PUT", "/v1/rooms/hall/settings", token, `{"speak":"all"}`).refused(t, "speak", http.StatusBadRequest, "bad_settings")

	on := do(200, "PUT", "/v1/rooms/hall/recording", `{"on":true}`)
	if on.Room.Recording == "" {
		t.Errorf("recording %+v", on)
	}
	if again := do(200, "PUT", "/v1/rooms/hall/recording", `{"on":true}`); again.Room.Recording != on.Room.Recording || again.Position != on.Position {
		t.Errorf("recording again %+v", again)
	}
	if off := do(200, "PUT", "/v1/rooms/hall/recording", `{"on":false}`); off.Room.Recording != "" {
		t.Errorf("stopped %+v", off)
	}
	do(200, "PUT", "/v1/rooms/hall/settings", `{"keep":"none"}`)
	h.do("PUT", "/v1/rooms/hall/recording", token, `{"on":true}`).refused(t, "keep none", http.StatusConflict, "keep_none")

	h.join("hall", "ada")
	kicked := do(200, "DELETE", "/v1/rooms/hall/participants/ada", "")
	h.do("DELETE", "/v1/rooms/hall/participants/ada", token, "").refused(t, "kicked twice", http.StatusNotFound, "no_such_session")
	closed := do(200, "POST", "/v1/rooms/hall/close", `{"reason":"the e\u202end\n"}`)
	if !closed.Room.Closed {
		t.Errorf("closed %+v", closed)
	}
	do(200, "POST", "/v1/rooms/hall/close", "")
	h.do("PUT", "/v1/rooms/hall/settings", token, `{"capacity":9}`).refused(t, "settings of a closed room", http.StatusConflict, "room_closed")
	if open := do(200, "POST", "/v1/rooms", `{"room":"hall"}`); open.Room.Closed || open.Room.Capacity != 5 || open.Room.Keep != room.KeepNone || !open.Opened {
		t.Errorf("opened %+v", open)
	}

	facts := map[uint64]room.Fact{}
	if err := h.log.Events(t.Context(), "hall", 0, func(e *room.Event) error {
		facts[e.Position] = e.Fact
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if facts[kicked.Position] != (room.Left{Session: "ada", Reason: room.Kicked}) || facts[closed.Position] != (room.Closed{Reason: "the end"}) {
		t.Errorf("the log holds %v", facts)
	}
	if started := facts[on.Position].(room.RecordingStarted); started.By != "tester" {
		t.Errorf("recorded by %q", started.By)
	}
}

// stream opens an event stream and gives its lines.
func (h *house) stream(ctx context.Context, path, token string) (lines func() room.Event, ended func() bool) {
	h.t.Helper()
	r, err := http.NewRequestWithContext(ctx, "GET", h.http.URL+path, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a, err := h.http.Client().Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { a.Body.Close() })
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "application/x-ndjson" {
		h.t.Fatalf("%s: %d %s", path, a.StatusCode, a.Header.Get("Content-Type"))
	}
	scan := bufio.NewScanner(a.Body)
	return func() (e room.Event) {
		h.t.Helper()
		if !scan.Scan() {
			h.t.Fatalf("the stream ended: %v", scan.Err())
		}
		if strings.Contains(scan.Text(), "secret-hash") {
			h.t.Errorf("the stream shows a resume hash: %s", scan.Text())
		}
		if err := json.Unmarshal(scan.Bytes(), &e); err != nil {
			h.t.Fatalf("%v: %s", err, scan.Text())
		}
		return e
	}, func() bool { return !scan.Scan() && scan.Err() == nil }
}

func TestEventsAreFollowedWithoutAHole(t *testing.T) {
	h := build(t, func(cfg *Config, _ *Deps) { cfg.Follows = 1 })
	token := h.token("hall", "listen")
	for _, s := range []string{"s0", "s1", "s2"} {
		h.join("hall", s)
		h.join("other", s)
	}
	ctx, cancel := context.WithCancel(t.Context())
	next, _ := h.stream(ctx, "/v1/rooms/hall/events?follow=true", token)
	var last uint64
	for i := range 20 {
		if i >= 3 {
			h.join("hall", fmt.Sprint("s", i))
		}
		e := next()
		if joined, ok := e.Fact.(room.Joined); !ok || joined.Session != fmt.Sprint("s", i) || e.Position <= last || e.Room != "hall" {
			t.Fatalf("event %d is %+v", i, e)
		}
		last = e.Position
	}
	h.do("GET", "/v1/rooms/hall/events?follow=true", token, "").refused(t, "one too many", http.StatusServiceUnavailable, "overloaded")

	cancel() // the receiver goes: its place becomes free
	h.until("the place is free", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", h.http.URL+"/v1/rooms/hall/events?follow=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		a, err := h.http.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		return a.StatusCode == http.StatusOK
	})

	after := h.do("GET", fmt.Sprintf("/v1/rooms/hall/events?after=%d", last-1), token, "")
	if strings.Count(string(after.body), "\n") != 1 {
		t.Errorf("behind %d: %s", last-1, after.body)
	}
}

// A drain ends the streams between two events, as an answer that is whole.
func TestDrainEndsEventStreams(t *testing.T) {
	h := build(t, nil)
	h.join("hall", "ada")
	next, ended := h.stream(t.Context(), "/v1/rooms/hall/events?follow=true", h.token("hall", "listen"))
	next()
	close(h.stop)
	if !ended() {
		t.Error("the stream does not end cleanly")
	}
}
