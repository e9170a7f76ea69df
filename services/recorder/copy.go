package recorder

import (
	"context"
	"errors"
	"fmt"

	"airloom/internal/recording"
)

// copy takes what another recording that holds the track from its beginning has closed of it: the log may have forgotten that. What was closed by
// facts before this recording was even started is the same in both.
func (f *fold) copy(ctx context.Context, fo *follow) error {
	for _, other := range f.follows[fo.key()] {
		if other == fo || other.clipped() || other.closing != nil {
			continue
		}
		other.writes.Wait()
		var gone []*damaged
		for id, e := range other.epochs {
			for r := range e.done.All() {
				for n := r.From; n <= r.To; n++ {
					bad, err := f.copySegment(ctx, fo, other, segmentID{id, n})
					if err != nil {
						return fmt.Errorf("add track %s to recording %s: %w", fo.info.Track, fo.recording, err)
					}
					if bad != nil {
						gone = append(gone, bad)
					}
				}
			}
		}
		for _, bad := range gone {
			if err := f.mendBoth(ctx, fo, other, bad); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// copySegment gives what is damaged in the other recording.
func (f *fold) copySegment(ctx context.Context, fo, other *follow, id segmentID) (bad *damaged, err error) {
	if fo.has(id) {
		return nil, nil
	}
	want := wanted{room: fo.room, handle: fo.handle, damaged: damaged{recording: other.recording, track: fo.info.Track, epoch: id.epoch, n: id.n}}
	if _, foreign := other.foreign.Load(id); !foreign {
		want.sum = other.epochs[id.epoch].sums[id.n]
	}
	var data []byte
	var segment *recording.Segment
	err = f.keeper.insist(ctx, "read "+want.key(), func(ctx context.Context) (err error) {
		data, segment, err = f.keeper.look(ctx, want)
		return err
	})
	if errors.As(err, &bad) {
		return bad, nil
	}
	if err == nil {
		err = f.keeper.putNew(ctx, recording.SegmentKey(fo.recording, fo.info.Track, id.epoch, id.n), data)
	}
	if err == nil {
		fo.take(segment, fingerprintOf(data))
	}
	return nil, err
}

// mendBoth is for a segment that is damaged where it was to be copied from. What is not put back is made again in both, or declared storage_corrupt
// by both.
func (f *fold) mendBoth(ctx context.Context, fo, other *follow, bad *damaged) error {
	if err := f.mend(ctx, other, bad); err != nil {
		return err
	}
	id := segmentID{bad.epoch, bad.n}
	if other.has(id) {
		again, err := f.copySegment(ctx, fo, other, id)
		if err != nil || again == nil {
			return err
		}
	}
	e := fo.epochs[id.epoch]
	if e == nil {
		e = newEpoch(other.epochs[id.epoch].unit)
		fo.epochs[id.epoch] = e
	}
	e.reopen(id.n)
	return nil
}
