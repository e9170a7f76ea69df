package sim

import (
	"slices"
	"testing"
	"time"
)

// The same seed is the same run, in order and in virtual time.
func TestOneSeedIsOneRun(t *testing.T) {
	run := func() (seen []time.Duration) {
		machine := func(w *World) {
			for range 50 {
				w.After(w.Upto(time.Hour), func() {
					seen = append(seen, w.Now())
					if w.Chance(0.5) {
						w.After(w.Between(time.Minute, time.Hour), func() { seen = append(seen, w.Now()) })
					}
				})
			}
			w.Every(10*time.Minute, func() bool { seen = append(seen, w.Now()); return true })
			w.Run(3*time.Hour, nil)
		}
		if words := try(t, 7, false, machine); words != "" {
			t.Fatal(words)
		}
		return seen
	}
	began := time.Now()
	first, second := run(), run()
	if !slices.Equal(first, second) || !slices.IsSorted(first) || len(first) < 60 {
		t.Errorf("%v\n%v", first, second)
	}
	if time.Since(began) > time.Minute {
		t.Error("it took real time")
	}
}

// A broken promise is told, with its words.
func TestBrokenPromisesAreFound(t *testing.T) {
	machine := func(w *World) {
		if w.Seed == 3 {
			w.Fail("three")
		}
	}
	Finds(t, 5, "three", machine)
	if words := try(t, 2, false, machine); words != "" {
		t.Error(words)
	}
}
