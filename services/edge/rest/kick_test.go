package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"airloom/internal/room"
)

// joinAs puts a session of an identity into a room and gives its position.
func (h *house) joinAs(roomName, session, identity string) uint64 {
	h.t.Helper()
	h.decide(roomName, func(s *room.State) (room.Draft, error) {
		return s.Join(room.Joined{Session: session, Identity: identity, Name: identity, Edge: "edge-1"})
	})
	return h.load(roomName).Position
}

func (h *house) load(roomName string) *room.State {
	h.t.Helper()
	state, err := h.log.Load(h.t.Context(), roomName)
	if err != nil {
		h.t.Fatal(err)
	}
	return state
}

// gone checks that nobody with an identity is there, or may come back at once.
func (h *house) gone(roomName, identity string) {
	h.t.Helper()
	state := h.load(roomName)
	if there := state.SessionOf(identity); there != nil {
		h.t.Errorf("%s is still there, with session %s", identity, there.Session)
	}
	if !state.IsBanned(identity, time.Now()) {
		h.t.Errorf("%s may come back at once", identity)
	}
}

// Row 39: a moderator kicks whom they see; that somebody has just come with a newer session lets nobody stay.
func TestRow39KickedByAReplacedSession(t *testing.T) {
	h := build(t, nil)
	token := h.token("hall", "moderate")
	h.joinAs("hall", "a1", "ada")
	h.joinAs("hall", "a2", "ada")
	h.do("DELETE", "/v1/rooms/hall/participants/a1", token, "").into(t, new(roomAnswer))
	h.gone("hall", "ada")

	h.joinAs("hall", "b1", "bob")
	h.joinAs("hall", "b2", "bob")
	h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Leave("b2", room.Bye) })
	h.do("DELETE", "/v1/rooms/hall/participants/b1", token, "").into(t, new(roomAnswer))
	h.gone("hall", "bob")
	h.do("DELETE", "/v1/rooms/hall/participants/b1", token, "").refused(t, "again", http.StatusNotFound, "no_such_session")
}

// The log has the newer session before the kick of the older one, which was decided without knowing of it.
func TestRow39KickedWhileJoiningAnew(t *testing.T) {
	h := build(t, nil)
	d := &door{cfg: Config{Patience: 5 * time.Second}, deps: Deps{Log: h.log}}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodDelete, "/v1/rooms/hall/participants/a1", nil)
	h.joinAs("hall", "a1", "ada")
	joined := h.joinAs("hall", "a2", "ada")
	h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Leave("a1", room.Kicked) })
	if err := d.expel(r, "hall", "ada", joined); err != nil {
		t.Fatal(err)
	}
	if h.load("hall").SessionOf("ada") == nil {
		t.Error("who joined behind the kick was removed by it")
	}
	if err := d.expel(r, "hall", "ada", h.load("hall").Position); err != nil {
		t.Fatal(err)
	}
	h.gone("hall", "ada")
}
