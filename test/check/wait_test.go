package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A wish that began in a fault has its whole patience once the faults are over; one that runs out before has none left.
func TestPatienceBeginsAnewWithTheCalm(t *testing.T) {
	for _, c := range []struct{ calm, ends time.Duration }{
		{0, 40 * time.Second},
		{33 * time.Second, 73 * time.Second},
		{50 * time.Second, 40 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			restless, rest := context.WithCancel(t.Context())
			r := &run{patience: 40 * time.Second, restless: restless}
			time.AfterFunc(c.calm, rest)
			began := time.Now()
			ctx, cancel := r.patiently(t.Context())
			defer cancel()
			<-ctx.Done()
			if lasted := time.Since(began); lasted != c.ends {
				t.Errorf("calm after %v: waited %v, want %v", c.calm, lasted, c.ends)
			}
		})
	}
}
