package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// heardWithin is how long ago a leader may have heard from its followers to be believed. It hears from them each second; those that no longer hear
// it elect another one after 4 s at the earliest.
const heardWithin = 3 * time.Second

// ErrNotLed says that whoever answers for a stream does not lead it, or cannot know whether it still does.
var ErrNotLed = errors.New("no leader answers that a majority of the replicas follows")

// AskLeader asks a stream's leader how the stream stands. While the replicas have no leader any of them answers for the stream, and tells what it has
// itself; a leader that was cut off goes on answering as one for up to 20 s, with nothing of what its successor stored. Neither is believed: the
// error wraps ErrNotLed then, and it is to be asked again.
func AskLeader(ctx context.Context, js jetstream.JetStream, stream string, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("ask the leader of %s: %w", stream, err)
	}
	info := s.CachedInfo()
	if len(options) > 0 {
		if info, err = s.Info(ctx, options...); err != nil {
			return nil, fmt.Errorf("ask the leader of %s: %w", stream, err)
		}
	}
	if err := leads(info.Cluster); err != nil {
		return nil, fmt.Errorf("ask the leader of %s: %w", stream, err)
	}
	return info, nil
}

// leads says by its own answer whether a server leads a stream.
func leads(c *jetstream.ClusterInfo) error {
	if c == nil {
		return nil
	}
	if c.Leader == "" {
		return fmt.Errorf("%w: the replicas have none at the moment", ErrNotLed)
	}
	follow := 1
	for _, r := range c.Replicas {
		if r.Active > 0 && r.Active <= heardWithin { // 0: never
			follow++
		}
	}
	if all := len(c.Replicas) + 1; 2*follow <= all {
		return fmt.Errorf("%w: %s has heard from %d of %d lately", ErrNotLed, c.Leader, follow, all)
	}
	return nil
}
