package rest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"airloom/internal/problem"
	"airloom/internal/room"
)

// Who has a token for a room without the right makes the edge load one room at a time, whatever it asks for at once. It is answered
// when its turn does not come, and those whose token has the right don't wait.
func TestLoadsForCallersWithoutTheRightTakeTurns(t *testing.T) {
	h := build(t, nil)
	h.decide("hall", func(s *room.State) (room.Draft, error) {
		return s.Join(room.Joined{Session: "s1", Identity: "tester", Grants: room.Grants{Listen: true}})
	})
	turns := newTurns()
	done, err := turns.take(t.Context(), "tester")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{cfg: Config{Keys: h.keys, Patience: 100 * time.Millisecond}, deps: Deps{Log: h.log}, turns: turns}
	enter := func(rights ...string) (allowed, error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+h.token("hall", rights...))
		return d.enter(r, "hall", moderate)
	}
	is := func(what string, err error, code string) {
		t.Helper()
		var p *problem.Problem
		if got := errors.As(err, &p); got != (code != "") || got && p.Code != code {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
	}
	_, err = enter("listen")
	is("its turn does not come", err, "no_answer")
	_, err = enter("listen", "moderate")
	is("it has the right", err, "")
	done()
	_, err = enter("listen")
	is("its turn comes", err, "forbidden")
}
