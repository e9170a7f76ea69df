package participant

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait before each attempt to come back (docs/wire.md 3.4): at once with 0–250 ms of jitter,
// then full jitter from 0.25 s doubling to 10 s.
type backoff struct{ tries int }

func (b *backoff) next() time.Duration {
	ceiling := 250 * time.Millisecond
	if b.tries > 0 {
		ceiling = min(10*time.Second, ceiling<<min(b.tries-1, 6))
	}
	b.tries++
	return rand.N(ceiling)
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
