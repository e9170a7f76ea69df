package eventlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/errgroup"

	"airloom/internal/room"
	"airloom/internal/subject"
)

// Region is the rooms of a region as their snapshots have them: together with the events behind Mark.Position that is everything.
type Region struct {
	Mark  Mark
	Rooms []*room.State // each with its own position, which may be further than the mark's
}

const (
	unpackers   = 4
	regionBytes = 4 << 20         // of one direct read
	regionWait  = 5 * time.Second // for one direct read
	maxWaits    = 100             // for a replica to catch up, 20 ms each
)

// Snapshots reads the snapshots of all rooms. Where they don't hold everything up to a mark (there is none, some were purged, the
// event stream is another one) it has no rooms and position 0: fold from the beginning. Errors wrap ErrAway.
func (l *Log) Snapshots(ctx context.Context) (Region, error) {
	mark, err := l.readMark(ctx)
	if err != nil || mark.Position == 0 {
		return Region{Mark: mark}, err
	}
	stand, err := l.Stand(ctx)
	if err != nil {
		return Region{}, err
	}
	if !stand.Created.Equal(mark.Created) || stand.Last < mark.Position {
		l.logger.Warn("the snapshots are of another event stream: folding from the beginning", "region", l.region, "their", mark.Created, "stream", stand.Created)
		return Region{}, nil
	}
	heads, messages, there, err := l.heads(ctx, mark)
	if err != nil {
		return Region{}, err
	}
	if expected := max(mark.Messages, there); messages < expected {
		l.logger.Warn("snapshots are missing: folding from the beginning", "region", l.region, "messages", messages, "expected", expected)
		return Region{}, nil
	}
	rooms, err := l.restore(ctx, heads)
	if err != nil {
		return Region{}, err
	}
	return Region{Mark: mark, Rooms: rooms}, nil
}

// packed is a room's snapshot as it was read.
type packed struct {
	first []byte
	parts map[int][]byte
}

// heads reads the whole stream of snapshots, until it has as many as there are by the word of the leader. To read up to the mark is not
// enough: where a newer snapshot took a room's place it lies behind the mark, among those of new rooms, so a mere number would not tell
// that it lacks. A replica that lags has them in a moment, a damaged one never: then messages stay fewer than there are.
func (l *Log) heads(ctx context.Context, mark Mark) (all map[string]*packed, messages, there int, err error) {
	all = map[string]*packed{}
	at := uint64(0)
	for waits := 0; ; waits++ {
		for before := at + 1; before != at; {
			before = at
			if err := l.headsBehind(ctx, &at, all); err != nil {
				return nil, 0, 0, err
			}
		}
		if there, err = l.countSnapshots(ctx, mark); err != nil {
			return nil, 0, 0, err
		}
		messages = 0
		for _, p := range all {
			if messages += len(p.parts); p.first != nil {
				messages++
			}
		}
		if at >= mark.seq && messages >= there || waits == maxWaits {
			break
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return nil, 0, 0, fmt.Errorf("read snapshots: %w: %w", ErrAway, err)
		}
	}
	maps.DeleteFunc(all, func(_ string, p *packed) bool { return p.first == nil })
	if at < mark.seq { // what it read may be older than the mark promises
		return nil, 0, there, nil
	}
	return all, messages, there, nil
}

func (l *Log) headsBehind(ctx context.Context, at *uint64, all map[string]*packed) error {
	ctx, cancel := context.WithTimeout(ctx, regionWait)
	defer cancel()
	messages, err := jetstreamext.GetBatch(ctx, l.bus.JetStream(), subject.SnapshotStream(l.region), batch,
		jetstreamext.GetBatchSubject(subject.SnapshotCapture(l.region)), jetstreamext.GetBatchSeq(*at+1), jetstreamext.GetBatchMaxBytes(regionBytes))
	if err != nil {
		return fmt.Errorf("read snapshots: %w: %w", ErrAway, err)
	}
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read snapshots: %w: %w", ErrAway, err)
		}
		*at = msg.Sequence
		keep(all, msg)
	}
	return nil
}

func keep(all map[string]*packed, msg *jetstream.RawStreamMsg) {
	p := subject.Parse(msg.Subject)
	if p.Kind != subject.Snap {
		return // the mark
	}
	one := all[p.Room]
	if one == nil {
		one = &packed{parts: map[int][]byte{}}
		all[p.Room] = one
	}
	if n, err := strconv.Atoi(p.ID); err == nil {
		one.parts[n] = msg.Data
	} else {
		one.first = msg.Data
	}
}

// restore unpacks the snapshots, a few at a time. A room whose snapshot cannot be used is loaded from its events.
func (l *Log) restore(ctx context.Context, heads map[string]*packed) ([]*room.State, error) {
	states := make([]*room.State, 0, len(heads))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(unpackers)
	for name, p := range heads {
		group.Go(func() error {
			state, err := unpack(p.first, p.parts, name, l.defaults)
			if unusable(err) { // Load tells of it
				state, err = l.Load(ctx, name)
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			states = append(states, state)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("restore the rooms of %s: %w", l.region, err)
	}
	return states, nil
}
