package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"airloom/internal/plant"
)

// What TestMain builds once for all tests.
var (
	product programs // the product
	planted programs // the same with bugs that AIRLOOM_PLANT switches on
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "airloom-check-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "set-up:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := setUp(dir); err != nil {
		fmt.Fprintln(os.Stderr, "set-up:", err)
		return 1
	}
	if code := m.Run(); code != 0 {
		return code
	}
	web.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func setUp(dir string) error {
	toxiproxy, err := filepath.Abs(filepath.Join("..", "..", "bin", "tools", "toxiproxy-server"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(toxiproxy); err != nil {
		return fmt.Errorf("toxiproxy-server is missing: run scripts/setup tools: %w", err)
	}
	nats := filepath.Join(dir, "nats-server")
	product = programs{filepath.Join(dir, "airloom"), nats, toxiproxy}
	planted = programs{filepath.Join(dir, "planted"), nats, toxiproxy}
	for _, args := range [][]string{
		{"-o", product.airloom, "airloom/cmd/airloom"},
		{"-o", planted.airloom, "-tags", "plant", "airloom/cmd/airloom"},
		{"-o", nats, "github.com/nats-io/nats-server/v2"},
	} {
		if out, err := exec.Command("go", append([]string{"build", "-buildvcs=false"}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// usual is a run as `./task check` makes it. What it leaves behind stays where the test fails.
func usual(t *testing.T, out *bytes.Buffer) config {
	t.Helper()
	dir, err := os.MkdirTemp("", "airloom-check-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(dir)
		}
	})
	return config{Seed: 1, Seconds: 60, Speakers: 4, Listeners: 6, Rewinders: 2, Visitors: 2, Moderator: true, Dir: dir, Programs: product, Out: out}
}

// A minute of faults breaks no promise. The seed is fixed; check:long takes others.
func TestAMinuteOfFaults(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := check(context.Background(), usual(t, &out))
	t.Logf("\n%s", &out)
	if err != nil {
		t.Fatal(err)
	}
}

// Each planted bug is found within a few seeds, by the promise that it breaks: a check that passes could have failed.
func TestPlantedBugsAreFound(t *testing.T) {
	for _, bug := range []struct {
		plant    plant.Bug
		faults   string
		seconds  int
		visitors int
		promises []string // any of them: which one sees it first depends on where the faults fall
	}{
		{plant.AckEarly, "kill-edge-without-log", 8, 0, []string{promiseAcked}},
		{plant.SegmentTimer, "freeze,kill-nats", 14, 0, []string{promiseAcked, promiseSame}},
		{plant.NoDedupe, "echo", 8, 0, []string{promiseAcked}},
		{plant.SecondLeft, "none", 2, 1, []string{promiseRosters}},
		{plant.SeamSkip, "none", 4, 0, []string{promiseRewound}},
	} {
		t.Run(string(bug.plant), func(t *testing.T) {
			t.Parallel()
			const seeds = 4
			for seed := uint64(1); seed <= seeds; seed++ {
				var out bytes.Buffer
				cfg := usual(t, &out)
				cfg.Seed, cfg.Seconds, cfg.Visitors, cfg.Listeners, cfg.Moderator = seed, bug.seconds, bug.visitors, 3, false
				cfg.Faults, cfg.Programs, cfg.Env = strings.Split(bug.faults, ","), planted, []string{"AIRLOOM_PLANT=" + string(bug.plant)}
				err := check(context.Background(), cfg)
				switch {
				case errors.Is(err, errBroken) && slices.ContainsFunc(bug.promises, func(p string) bool {
					return strings.Contains(out.String(), "BROKEN  "+p)
				}):
					t.Logf("found by seed %d: %v", seed, err)
					return
				case err != nil:
					t.Fatalf("seed %d found something else: %v\n%s", seed, err, &out)
				}
			}
			t.Fatalf("not found by %d seeds", seeds)
		})
	}
}

// The same seed plans the same faults, another one others; no process is held by two at a time.
func TestPlanFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	tell := func(seed uint64) string {
		var out bytes.Buffer
		config{Seed: seed, Seconds: 60, Out: &out}.print()
		return out.String()
	}
	if tell(1) != tell(1) || tell(1) == tell(2) {
		t.Error("the plan does not follow from the seed")
	}
	seen := map[string]bool{}
	for seed := range uint64(200) {
		s := plan(config{Seed: seed, Seconds: 60})
		for i, f := range s.faults {
			seen[f.kind.name] = true
			for _, other := range s.faults[:i] {
				for _, name := range f.on {
					if other.at+other.lasts > f.at && strings.Contains(fmt.Sprint(other.on, " "), name) {
						t.Fatalf("seed %d: %v and %v hold %s at a time", seed, other, f, name)
					}
				}
			}
		}
	}
	for _, k := range kinds {
		if !seen[k.name] {
			t.Errorf("no seed draws %s", k.name)
		}
	}
}

// What the checker takes for right is what was said, and nothing else.
func TestSoundTellsItself(t *testing.T) {
	t.Parallel()
	b := sound(7, 9)
	if key, seq, err := heardSound(b); err != nil || key != 7 || seq != 9 {
		t.Fatalf("key %d, seq %d, %v", key, seq, err)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1
		if _, _, err := heardSound(bad); err == nil {
			t.Errorf("byte %d altered: taken for right", i)
		}
	}
}
