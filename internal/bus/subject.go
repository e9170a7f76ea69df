package bus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	countings = 8 // of three replicas one that has lost messages is believed with a probability of 1 in 6,500
	readings  = 5
)

// ReadSubject hands over what a stream has on one subject after a position and up to another. In a cluster it asks several replicas how
// many there are, and where the one that it reads from has fewer, it reads from others, too: what those give besides comes last. found
// is how many that were. After an error reading must begin anew at the same position: what is missing may lie anywhere.
func ReadSubject(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64, each func(Stored)) (found uint64, err error) {
	var seen []uint64
	for range readings {
		before := len(seen)
		err := readOnce(ctx, js, stream, on, after, through, func(m Stored) {
			if _, given := slices.BinarySearch(seen[:before], m.Position); given {
				return
			}
			seen = append(seen, m.Position)
			each(m)
		})
		if err != nil {
			return found, err
		}
		if before > 0 {
			found += uint64(len(seen) - before)
			slices.Sort(seen)
		}
		most, err := count(ctx, js, stream, on, after, through)
		if err != nil {
			return found, err
		}
		if uint64(len(seen)) >= most {
			break
		}
	}
	return found, nil
}

// readOnce reads from one replica, and goes on from another one where that one ends.
func readOnce(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64, each func(Stored)) error {
	for stumbled := 0; ; stumbled++ {
		begun := after
		err := readTail(ctx, js, stream, on, after, through, func(m Stored) {
			after = m.Position
			each(m)
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		if after > begun {
			stumbled = 0
		}
		if stumbled == 5 || !pause(ctx, 200*time.Millisecond) {
			return err
		}
	}
}

func readTail(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64, each func(Stored)) error {
	tail, err := OpenTail(ctx, js, stream, after, on)
	if err != nil {
		return err
	}
	defer tail.Stop()
	for left := tail.Pending; left > 0; left-- {
		msg, meta, err := tail.next(quietFor)
		if err != nil {
			return err
		}
		if meta.Sequence.Stream > through {
			return nil
		}
		each(Stored{Position: meta.Sequence.Stream, At: meta.Timestamp, Subject: msg.Subject(), Header: msg.Headers(), Data: msg.Data()})
	}
	return nil
}

// count is how many messages a subject has in a range, by the replica that has most. A stream with one replica is not asked: 0.
func count(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64) (most uint64, err error) {
	info, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	s, err := js.Stream(info, stream)
	if err != nil {
		return 0, fmt.Errorf("ask for %s: %w", stream, err)
	}
	if s.CachedInfo().Config.Replicas < 2 {
		return 0, nil
	}
	return countFor(ctx, js, stream, on, after, through, replyPatience)
}
