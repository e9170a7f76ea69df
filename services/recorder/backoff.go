package recorder

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff pauses longer and longer, with full jitter so that recorders don't come back in step.
type backoff struct{ next, most time.Duration }

const firstPause = 50 * time.Millisecond

func newBackoff(most time.Duration) *backoff { return &backoff{firstPause, most} }

func (b *backoff) reset() { b.next = firstPause }

func (b *backoff) pause(ctx context.Context) error {
	d := b.next/2 + rand.N(b.next/2+1)
	b.next = min(2*b.next, max(b.most, firstPause))
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
