package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 0, "seeds that each machine is tried with; 0: as many as take a few seconds")
	seed  = flag.Uint64("seed", 0, "the one seed that each machine is tried with, telling all that happens; 0: many")
)

const (
	enough = 2000            // seeds where nothing is said
	spend  = 5 * time.Second // and for how long at most
	least  = 25              // on the slowest machine
)

// Check tries a machine with many seeds, which are always the same ones. A failure says how to run its seed again.
func Check(t *testing.T, machine func(*World)) {
	t.Helper()
	if *seed != 0 {
		tell(t, *seed, machine)
		return
	}
	many, began, n := *seeds, time.Now(), 0
	for n = 0; n < max(many, enough); n++ {
		if many > 0 && n == many || many == 0 && n >= least && time.Since(began) > spend {
			break
		}
		if words := try(t, uint64(n+1), false, machine); words != "" {
			tell(t, uint64(n+1), machine)
			t.Fatalf("seed %d breaks a promise, and not when it is run again: the machine is not one run for one seed: %s", n+1, words)
		}
	}
	t.Logf("%d seeds in %v", n, time.Since(began).Round(time.Millisecond))
}

// tell runs one seed again and fails with all that happened.
func tell(t *testing.T, seed uint64, machine func(*World)) {
	t.Helper()
	words := try(t, seed, true, machine)
	if words == "" {
		t.Logf("seed %d keeps every promise", seed)
		return
	}
	t.Fatalf("seed %d breaks a promise:\n%s\nrun it again: go test ./%s -run '^%s$' -seed %d", seed, words, here(), t.Name(), seed)
}

// Finds fails unless one of the first so many seeds breaks a promise: the machine is one with a bug in it. The broken promise must have
// these words, so that it is the bug and not the machine that was found.
func Finds(t *testing.T, within int, words string, machine func(*World)) {
	t.Helper()
	for n := range within {
		broken := try(t, uint64(n+1), false, machine)
		if broken == "" {
			continue
		}
		if !strings.Contains(broken, words) {
			t.Fatalf("seed %d breaks another promise than %q:\n%s", n+1, words, broken)
		}
		t.Logf("found by seed %d: %s", n+1, broken)
		return
	}
	t.Fatalf("none of %d seeds finds the bug", within)
}

// here is the package under test, from the module's root.
func here() string {
	dir, err := os.Getwd()
	if err != nil {
		return "..."
	}
	for root := dir; root != filepath.Dir(root); root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			if rel, err := filepath.Rel(root, dir); err == nil {
				return filepath.ToSlash(rel)
			}
		}
	}
	return "..."
}
