package rest

import (
	"net/http"
	"testing"

	"airloom/internal/query"
)

// Who may not hear a recording's room cannot have it rebuilt, nor learn that it is there.
func TestRebuildIsForTheRoom(t *testing.T) {
	h := build(t, nil)
	h.recorder([]query.Recording{}, nil)
	for _, c := range []struct {
		token string
		want  int
	}{
		{h.token("hall", "moderate"), http.StatusAccepted},
		{h.token("hall", "record"), http.StatusAccepted},
		{h.token("hall", "listen", "speak"), http.StatusForbidden},
		{h.token("attic", "moderate"), http.StatusNotFound},
	} {
		if a := h.do("POST", "/v1/recordings/r1/rebuild", c.token, ""); a.StatusCode != c.want {
			t.Errorf("%d %s, want %d", a.StatusCode, a.body, c.want)
		}
	}
}
