package recorder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// looks is how often a stored segment is read before it counts as damaged: a store may lag behind itself.
const looks = 3

// damaged says that a segment which was stored is gone, or is not what was stored.
type damaged struct {
	recording, track string
	epoch            uint8
	n                uint32
	why              error
}

func (d *damaged) Error() string {
	return fmt.Sprintf("segment %d-%d of track %s in recording %s is damaged: %v", d.epoch, d.n, d.track, d.recording, d.why)
}

func (d *damaged) key() string { return recording.SegmentKey(d.recording, d.track, d.epoch, d.n) }

// wanted is what a stored segment must be.
type wanted struct {
	damaged
	room   string
	handle uint32
	sum    fingerprint // zero: not known
}

// readSegment reads a segment that must be there. The error is a *damaged, or what the store says.
func (k *keeper) readSegment(ctx context.Context, want wanted) (data []byte, s *recording.Segment, err error) {
	wait := newBackoff(k.retry)
	for look := 1; ; look++ {
		data, s, err = k.look(ctx, want)
		var bad *damaged
		if err == nil || !errors.As(err, &bad) || look == looks {
			return data, s, err
		}
		if wait.pause(ctx) != nil {
			return nil, nil, ctx.Err()
		}
	}
}

func (k *keeper) look(ctx context.Context, want wanted) ([]byte, *recording.Segment, error) {
	data, err := k.store.Get(ctx, want.key())
	if errors.Is(err, blob.ErrNotExist) {
		want.why = blob.ErrNotExist
		return nil, nil, &want.damaged
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := recording.ParseSegment(data)
	if err == nil && want.sum != (fingerprint{}) && want.sum != fingerprintOf(data) {
		err = errors.New("these are not the bytes that were stored")
	}
	if err == nil && (s.Room != want.room || s.Handle != want.handle || s.Epoch != want.epoch || s.First != want.n*recording.SegmentSeqs) {
		err = errors.New("it is another segment")
	}
	if err != nil {
		want.why = err
		return nil, nil, &want.damaged
	}
	return data, s, nil
}

// mend lets a damaged segment be made again: from the log, or as far as the log has forgotten it as a gap with the reason
// storage_corrupt. Every recorder that meets the damage does the same, and the first fact holds.
func (f *fold) mend(ctx context.Context, fo *follow, bad *damaged) error {
	f.r.metrics.damaged.Add(1)
	f.r.logger.Error("ALARM: a stored segment is damaged: making it again from the log; what the log has forgotten is declared storage_corrupt",
		"room", fo.room, "recording", bad.recording, "track", bad.track, "object", bad.key(), "error", bad.why)
	want := wanted{damaged: *bad, room: fo.room, handle: fo.handle}
	if e := fo.epochs[bad.epoch]; e != nil {
		want.sum = e.sums[bad.n]
	}
	err := f.keeper.insist(ctx, "read "+bad.key(), func(ctx context.Context) error { _, _, err := f.keeper.look(ctx, want); return err })
	still := errors.As(err, new(*damaged)) // else another recorder was faster
	if still {
		err = f.keeper.quarantine(ctx, bad.key())
	}
	copied := false
	if still && err == nil {
		copied, err = f.copyOfAnother(ctx, fo, want)
	}
	if err != nil {
		return fmt.Errorf("mend %s: %w", bad.key(), err)
	}
	if copied {
		return nil
	}
	fo.reopen(bad.epoch, bad.n)
	f.touched[fo] = true
	return nil
}

// copyOfAnother puts a segment back from another recording that holds the track, where one has it whole. Recordings that hold but a part of the track
// have segments of their own: among them only the sum tells that the bytes are the same.
func (f *fold) copyOfAnother(ctx context.Context, fo *follow, want wanted) (copied bool, err error) {
	key := want.key()
	for _, id := range f.holders(fo, want.sum != fingerprint{}) {
		if other := want; id != want.recording {
			other.recording = id
			var data []byte
			err := f.keeper.insist(ctx, "read "+other.key(), func(ctx context.Context) (err error) {
				data, _, err = f.keeper.look(ctx, other)
				return err
			})
			if errors.As(err, new(*damaged)) {
				continue
			}
			if err == nil {
				err = f.keeper.putNew(ctx, key, data)
			}
			if err == nil {
				f.r.logger.Warn("a damaged segment is put back from another recording of its track", "object", key, "from", other.key())
			}
			return err == nil, err
		}
	}
	return false, nil
}

// holders are the recordings that have a track, as far as they are remembered; without clipped, those that hold the same of it as this follow.
func (f *fold) holders(fo *follow, clipped bool) (out []string) {
	rm := f.rooms[fo.room]
	if rm == nil || fo.clipped() && !clipped {
		return nil
	}
	s := rm.tracks[fo.info.Track]
	for _, rec := range rm.recordings {
		if slices.Contains(rec.members, fo.info.Track) && (clipped || s != nil && !rec.clips(s)) {
			out = append(out, rec.id)
		}
	}
	return out
}

// salvage begins a track anew whose own part of the manifest is damaged.
func (f *fold) salvage(ctx context.Context, fo *follow, id string, why error) error {
	track := fo.info.Track
	f.r.metrics.damaged.Add(1)
	f.r.logger.Error("ALARM: a stored track is damaged: making it again", "room", fo.room, "recording", id, "track", track, "error", why)
	if err := f.keeper.quarantine(ctx, recording.TrackKey(id, track)); err != nil {
		return err
	}
	return f.takeStored(ctx, fo, id)
}

// takeStored takes a track's closed segments as they are stored, where nothing else tells of them: the log may have forgotten what is in them.
func (f *fold) takeStored(ctx context.Context, fo *follow, id string) error {
	track := fo.info.Track
	dir := recording.Dir(id) + recording.SegmentsDir + track + "/"
	var names []string
	if err := f.keeper.insist(ctx, "list "+dir, func(ctx context.Context) error {
		names = nil
		for o, err := range f.keeper.store.List(ctx, dir) {
			if err != nil {
				return err
			}
			names = append(names, strings.TrimPrefix(o.Key, dir))
		}
		return nil
	}); err != nil {
		return err
	}
	for _, name := range names {
		at, ok := parseSegmentName(name)
		if !ok {
			continue
		}
		want := wanted{room: fo.room, handle: fo.handle, damaged: damaged{recording: id, track: track, epoch: at.epoch, n: at.n}}
		err := f.keeper.insist(ctx, "read "+want.key(), func(ctx context.Context) error {
			data, segment, err := f.keeper.look(ctx, want)
			if err == nil {
				fo.take(segment, fingerprintOf(data))
			}
			return err
		})
		var bad *damaged
		if errors.As(err, &bad) {
			err = f.keeper.quarantine(ctx, want.key()) // it is made again as any that is not there
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// quarantined is where a damaged object is moved: nothing that was stored is thrown away.
const quarantined = "quarantine/"

// quarantine moves an object out of the way, if it is there. What another recorder has put in its place meanwhile stays.
func (k *keeper) quarantine(ctx context.Context, key string) error {
	for n, to := 2, quarantined+key; ; n, to = n+1, fmt.Sprintf("%s%s.%d", quarantined, key, n) {
		err := k.insist(ctx, "copy "+key+" to "+to, func(ctx context.Context) error { return transfer(ctx, k.store, key, k.store, to) })
		if errors.Is(err, blob.ErrExists) && n < 100 {
			continue
		}
		if errors.Is(err, blob.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return k.insist(ctx, "delete "+key, func(ctx context.Context) error {
			copied, err := same(ctx, k.store, to, k.store, key)
			if errors.Is(err, blob.ErrNotExist) {
				return nil
			}
			if err != nil || !copied {
				return err
			}
			return k.store.Delete(ctx, key)
		})
	}
}

// transfer copies an object to a key that is free.
func transfer(ctx context.Context, from Store, key string, into Store, to string) error {
	in, err := from.Open(ctx, key)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := into.Create(ctx, to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(writing{out, ctx}, gettingOn{in, ctx}); err != nil {
		out.Abort()
		return fmt.Errorf("copy %s to %s: %w", key, to, err)
	}
	return out.Commit()
}
