package participant

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestAddresses(t *testing.T) {
	for list, want := range map[string][]string{
		"": {""}, ",": {","}, "a": {"a"}, "a,b": {"a", "b"}, " a , ,b,": {"a", "b"},
	} {
		if got := Addresses(list); !slices.Equal(got, want) {
			t.Errorf("%q is %q, want %q", list, got, want)
		}
	}
	if _, err := Join(t.Context(), Config{URL: "http://127.0.0.1:1,nowhere", Room: "hall"}); err == nil || err.Error() != `"nowhere" is not the address of an edge (as http://127.0.0.1:8080)` {
		t.Errorf("a bad address in a list: %v", err)
	}
}

// The first edge of the list is dead; then the one it joined dies, too: it resumes on the third, with its track.
func TestComesBackOnAnotherEdge(t *testing.T) {
	dead, first, second := newFakeEdge(t), newFakeEdge(t), newFakeEdge(t)
	dead.server.Close()
	p, s := joinFake(t, first, Config{URL: fmt.Sprintf("%s, %s,%s", dead.server.URL, first.server.URL, second.server.URL)})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	s.collect(newSink(), 9)
	s.ws.Close()
	first.server.Close()
	again := second.accept()
	if again.hello["resume"] != "secret" {
		t.Fatalf("hello %v", again.hello)
	}
	again.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": 3}}})
	edge := newSink()
	edge.have.Add(0, 3)
	again.collect(edge, 9)
	if edge.live.Count() != 0 || len(edge.frames) != 6 {
		t.Errorf("%d live and %d frames came, want 6 as backlog", edge.live.Count(), len(edge.frames))
	}
}

// docs/wire.md 3.4: 0–250 ms first, then full jitter under ceilings from 0.25 s to 10 s, so that a thousand that lost one edge do not come
// to the next one at once.
func TestBackoffHasFullJitter(t *testing.T) {
	ceilings := []time.Duration{250, 250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000}
	const many = 2000
	for try, ceiling := range ceilings {
		ceiling *= time.Millisecond
		var low, high int
		for range many {
			d := (&backoff{tries: try}).next()
			switch {
			case d < 0 || d >= ceiling:
				t.Fatalf("try %d waits %v, want less than %v", try, d, ceiling)
			case d < ceiling/4:
				low++
			case d >= ceiling*3/4:
				high++
			}
		}
		if low < many/6 || high < many/6 {
			t.Errorf("try %d: of %d, %d wait in the first quarter and %d in the last one of %v", try, many, low, high, ceiling)
		}
	}
}
