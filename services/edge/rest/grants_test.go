package rest

import (
	"fmt"
	"net/http"
	"testing"

	"airloom/internal/room"
)

func TestGrants(t *testing.T) {
	h := build(t, nil)
	h.join("hall", "ada") // may listen and speak
	h.join("hall", "bob")
	token := h.token("hall", "moderate")
	patch := func(path, body string) (got grantAnswer) {
		t.Helper()
		h.do("PATCH", "/v1/rooms/hall/sessions"+path, token, body).into(t, &got)
		return got
	}
	first := patch("/ada", `{"grants":{"speak":false}}`)
	if first.Identity != "ada" || first.Session != "ada" || first.Name != "ada" || first.Grants != (room.Grants{Listen: true}) || first.Position == 0 {
		t.Errorf("taken: %+v", first)
	}
	if again := patch("", `{"identity":"ada","grants":{"speak":false}}`); again != first {
		t.Errorf("it is so already: %+v", again)
	}
	if got := patch("", `{"identity":"ada","grants":{"speak":true,"listen":false}}`); got.Grants != (room.Grants{Speak: true}) {
		t.Errorf("given back: %+v", got)
	}
	var facts []room.Granted
	if err := h.log.Events(t.Context(), "hall", 0, func(e *room.Event) error {
		if granted, ok := e.Fact.(room.Granted); ok {
			facts = append(facts, granted)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint([]room.Granted{
		{Session: "ada", Grants: room.Grants{Listen: true}, By: "tester"}, {Session: "ada", Grants: room.Grants{Speak: true}, By: "tester"},
	}); fmt.Sprint(facts) != want {
		t.Errorf("the log holds %v, want %s", facts, want)
	}
	for what, c := range map[string]struct {
		path, body string
		status     int
		code       string
	}{
		"nobody":               {"/eve", `{"grants":{"speak":true}}`, http.StatusNotFound, "no_such_session"},
		"nobody of that name":  {"", `{"identity":"eve","grants":{"speak":true}}`, http.StatusNotFound, "no_such_session"},
		"no identity":          {"", `{"grants":{"speak":true}}`, http.StatusNotFound, "no_such_session"},
		"not an id":            {"/a.b", `{"grants":{"speak":true}}`, http.StatusNotFound, "no_such_session"},
		"nothing":              {"/ada", `{"grants":{}}`, http.StatusBadRequest, "bad_grants"},
		"no grants":            {"/ada", `{}`, http.StatusBadRequest, "bad_grants"},
		"a right there is not": {"/ada", `{"grants":{"mint":true}}`, http.StatusBadRequest, "bad_body"},
		"not a bool":           {"/ada", `{"grants":{"speak":1}}`, http.StatusBadRequest, "bad_body"},
		"what one has not":     {"/ada", `{"grants":{"record":true}}`, http.StatusForbidden, "forbidden"},
	} {
		h.do("PATCH", "/v1/rooms/hall/sessions"+c.path, token, c.body).refused(t, what, c.status, c.code)
	}
	h.do("PATCH", "/v1/rooms/hall/sessions/ada", h.token("hall", "listen", "speak", "record"), `{"grants":{"speak":true}}`).
		refused(t, "without the right", http.StatusForbidden, "forbidden")
	h.do("PATCH", "/v1/rooms/hall/sessions/ada", h.token("attic", "moderate"), `{"grants":{"speak":true}}`).
		refused(t, "of another room", http.StatusForbidden, "forbidden")
}

// What a moderator gave or took in the room holds over the token's here, too, while one is in the room.
func TestRightsOfTheRoomHoldOverTheTokens(t *testing.T) {
	h := build(t, nil)
	h.decide("hall", func(s *room.State) (room.Draft, error) {
		return s.Join(room.Joined{Session: "s1", Identity: "tester", Grants: room.Grants{Listen: true, Moderate: true}})
	})
	grant := func(g room.Grants) {
		h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Grant("s1", g, "owner") })
	}
	moderator, guest := h.token("hall", "listen", "moderate"), h.token("hall", "listen")
	set := func(token string, n int) answer {
		return h.do("PUT", "/v1/rooms/hall/settings", token, fmt.Sprintf(`{"capacity":%d}`, n))
	}
	grant(room.Grants{Listen: true})
	set(moderator, 5).refused(t, "taken", http.StatusForbidden, "forbidden")
	set(guest, 5).refused(t, "never had", http.StatusForbidden, "forbidden")
	h.do("PUT", "/v1/rooms/hall/recording", moderator, `{"on":true}`).refused(t, "another right", http.StatusForbidden, "forbidden")
	grant(room.Grants{Listen: true, Moderate: true, Record: true})
	if a := set(moderator, 6); a.StatusCode != http.StatusOK {
		t.Errorf("given back: %d %s", a.StatusCode, a.body)
	}
	set(guest, 7).refused(t, "it was the token's, not a moderator's gift", http.StatusForbidden, "forbidden")
	if a := h.do("PUT", "/v1/rooms/hall/recording", guest, `{"on":true}`); a.StatusCode != http.StatusOK {
		t.Errorf("given: %d %s", a.StatusCode, a.body)
	}
	h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Leave("s1", room.Bye) })
	h.do("PUT", "/v1/rooms/hall/recording", guest, `{"on":false}`).refused(t, "it ended with the session", http.StatusForbidden, "forbidden")
}

// A token that carries less is no way round what a moderator took: an older token of the same identity is refused still.
func TestANarrowerTokenUndoesNoTaking(t *testing.T) {
	for what, newer := range map[string]room.Grants{"of another right": {Moderate: true}, "of the right itself": {Listen: true}} {
		t.Run(what, func(t *testing.T) {
			h := build(t, nil)
			h.decide("hall", func(s *room.State) (room.Draft, error) {
				return s.Join(room.Joined{Session: "s1", Identity: "tester", Grants: room.Grants{Listen: true, Moderate: true}})
			})
			h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Grant("s1", room.Grants{Listen: true}, "owner") })
			h.decide("hall", func(s *room.State) (room.Draft, error) { return s.Narrow("s1", newer) })
			h.do("PUT", "/v1/rooms/hall/settings", h.token("hall", "listen", "moderate"), `{"capacity":5}`).
				refused(t, "taken", http.StatusForbidden, "forbidden")
		})
	}
}
