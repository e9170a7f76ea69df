package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// result is a subcommand that has ended.
type result struct {
	t         *testing.T
	args      []string
	code      int
	out, errs string
	took      time.Duration
}

// patience is how long a subcommand may take that does not play in real time.
const patience = 30 * time.Second

// run runs a subcommand to its end.
func run(t *testing.T, env []string, args ...string) *result {
	t.Helper()
	began := time.Now()
	p := start(t, "airloom "+args[0], env, airloom, args...)
	code := p.wait(t, patience)
	return &result{t: t, args: args, code: code, out: p.out.String(), errs: p.errs.String(), took: time.Since(began)}
}

// ok expects success.
func (r *result) ok() *result {
	r.t.Helper()
	if r.code != 0 {
		r.t.Fatalf("airloom %s: exit code %d\n%s%s", strings.Join(r.args, " "), r.code, r.out, r.errs)
	}
	return r
}

// fails expects an exit code that is not 0, words on stderr, and no stack trace.
func (r *result) fails(words ...string) {
	r.t.Helper()
	if r.code <= 0 || r.code > 2 {
		r.t.Errorf("airloom %s: exit code %d\n%s%s", strings.Join(r.args, " "), r.code, r.out, r.errs)
	}
	for _, word := range words {
		if !strings.Contains(r.errs, word) {
			r.t.Errorf("airloom %s: nothing of %q in:\n%s", strings.Join(r.args, " "), word, r.errs)
		}
	}
	if strings.Contains(r.errs, "goroutine ") {
		r.t.Errorf("airloom %s: a stack trace:\n%s", strings.Join(r.args, " "), r.errs)
	}
}

// decode reads the one object on stdout.
func (r *result) decode(v any) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.out), v); err != nil {
		r.t.Fatalf("airloom %s: %v in %q", strings.Join(r.args, " "), err, r.out)
	}
}

// published is what `publish --json` prints.
type published struct {
	Room     string  `json:"room"`
	Track    string  `json:"track"`
	Epoch    int     `json:"epoch"`
	Frames   int64   `json:"frames"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	Acked    int64   `json:"acked"`
	AckedSeq int64   `json:"acked_seq"`
	Resent   int64   `json:"resent"`
	SHA256   string  `json:"sha256"`
}

// heard is what `listen --json` prints.
type heard struct {
	Tracks []struct {
		Track      string `json:"track"`
		Frames     int64  `json:"frames"`
		Missing    int64  `json:"missing"`
		Duplicates int64  `json:"duplicates"`
		SHA256     string `json:"sha256"`
		Latency    struct {
			P50 float64 `json:"p50"`
			P99 float64 `json:"p99"`
		} `json:"latency_ms"`
	} `json:"tracks"`
}

// player is a subcommand that plays or listens in the background.
type player struct {
	*process
	args []string
}

func play(t *testing.T, env []string, args ...string) *player {
	t.Helper()
	return &player{start(t, "airloom "+args[0], env, airloom, append(args, "--json")...), args}
}

// end waits for exit code 0 and reads the object printed.
func (p *player) end(t *testing.T, within time.Duration, v any) {
	t.Helper()
	code := p.wait(t, within)
	(&result{t: t, args: p.args, code: code, out: p.out.String(), errs: p.errs.String()}).ok().decode(v)
}

// publish publishes to the end, all acked.
func publish(t *testing.T, url, room string, args ...string) (p published) {
	t.Helper()
	all := slices.Concat([]string{"publish", "--url", url, "--room", room, "--name", "speaker"}, args)
	play(t, nil, all...).end(t, time.Minute, &p)
	if p.Acked != p.Frames || p.Frames == 0 {
		t.Fatalf("%d of %d frames acked", p.Acked, p.Frames)
	}
	return p
}

// listen starts a listener for one track and returns when the room's roster has it.
func listen(t *testing.T, url, room, name string, args ...string) *player {
	t.Helper()
	p := play(t, nil, slices.Concat([]string{"listen", "--url", url, "--room", room, "--name", name, "--tracks", "1"}, args)...)
	awaitPresent(t, url, room, name)
	return p
}

// same expects that a listener heard what was published, and nothing else.
func (h heard) same(t *testing.T, p published) {
	t.Helper()
	if len(h.Tracks) != 1 {
		t.Fatalf("heard %d tracks, not 1", len(h.Tracks))
	}
	one := h.Tracks[0]
	if one.Track != p.Track || one.SHA256 != p.SHA256 || one.Frames != p.Frames || one.Missing != 0 {
		t.Errorf("heard %+v\nof        %+v", one, p)
	}
	t.Logf("heard %d frames, all equal; latency p50 %.1f ms, p99 %.1f ms", one.Frames, one.Latency.P50, one.Latency.P99)
}
