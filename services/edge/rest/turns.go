package rest

import (
	"context"
	"hash/maphash"
)

// turns bounds how many rooms are loaded at once for callers whose token does not have the right: anybody with a token for the room can
// ask. An identity has one turn at a time, which it shares with a part of the others only; who waits does so within its request's time.
type turns struct {
	seed  maphash.Seed
	slots [8]chan struct{}
}

func newTurns() *turns {
	t := &turns{seed: maphash.MakeSeed()}
	for i := range t.slots {
		t.slots[i] = make(chan struct{}, 1)
	}
	return t
}

// take waits for the turn of an identity; done gives it back. The error is the context's.
func (t *turns) take(ctx context.Context, identity string) (done func(), err error) {
	slot := t.slots[maphash.String(t.seed, identity)%uint64(len(t.slots))]
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
