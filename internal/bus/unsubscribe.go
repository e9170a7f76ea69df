package bus

import (
	"time"

	"github.com/nats-io/nats.go"
)

// Unsubscribe lets each subscription hand on what it has received, for at most two seconds in all: a request that is dropped would
// keep who asked waiting.
func Unsubscribe(subs []*nats.Subscription) {
	deadline := time.After(2 * time.Second)
	for _, sub := range subs {
		closed := sub.StatusChanged(nats.SubscriptionClosed)
		if err := sub.Drain(); err != nil {
			continue // the connection is closed: nothing is left to finish
		}
		select {
		case <-closed:
		case <-deadline:
			return
		}
	}
}
