package main

import (
	"testing"
	"time"
)

type rewound struct {
	From   string
	SeekMS float64 `json:"seek_ms"`
	Tracks []trackHeard
}

// Who comes late hears from the start what was published: while it goes on, over the seam, and after it has ended.
func TestListenFromTheStart(t *testing.T) {
	url := startUp(t)
	file := opusFile(t, "5")
	sent := make(chan ran, 1)
	go func() { sent <- airloom(t, "publish", "--url", url, "--room", "hall", "--name", "Ada", "--json", file) }()
	waitJoined(t, url, "hall")
	for deadline := time.Now().Add(20 * time.Second); ; { // the log has some of it
		r := decodeJSON[rewound](t, airloom(t, "listen", "--url", url, "--room", "hall", "--from", "start", "--for", "100ms", "--json"))
		if len(r.Tracks) == 1 && r.Tracks[0].Past > 20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log has only %+v", r)
		}
	}
	listen := func() ran {
		return airloom(t, "listen", "--url", url, "--room", "hall", "--from", "start", "--tracks", "1", "--for", "60s", "--json")
	}
	during := listen()
	p := decodeJSON[published](t, <-sent)
	for when, r := range map[string]ran{"during": during, "after": listen()} {
		heard := decodeJSON[rewound](t, r)
		if heard.From != "start" || len(heard.Tracks) != 1 || heard.SeekMS <= 0 {
			t.Fatalf("%s: %s %s", when, r.out, r.errs)
		}
		t.Logf("%s: the first packet after %v ms", when, heard.SeekMS)
		h := heard.Tracks[0]
		if h.SHA256 != p.SHA256 || h.Frames != p.Frames || h.Missing != 0 || h.Duplicates != 0 || h.Name == "" || h.Identity == "" {
			t.Errorf("%s: published %+v, heard %+v", when, p, h)
		}
		if all := h.Past == h.Frames; h.Past == 0 || when == "after" && !all || when == "during" && all {
			t.Errorf("%s: %d of %d frames are from the past", when, h.Past, h.Frames)
		}
	}
}
