package recorder

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// trustStored is for what the log may have forgotten: there closed segments are the truth. Those that the log still has frame by frame are made
// again; of the others the stored ones are taken, where they are what the manifest says.
func (b *rebuild) trustStored(ctx context.Context, s *knownTrack, fo *follow, through uint64) error {
	whole := b.follow(s) // by no gap: what a reason without a position covers may have been there
	trusted, err := b.trustVouched(ctx, s, fo, whole)
	if err != nil {
		return err
	}
	if err := b.read(ctx, whole, 0, through, func(uint64) error {
		err := b.take(ctx, whole, whole.closable(0))
		whole.putAside(maxOpen, 0)
		return err
	}); err != nil {
		return err
	}
	dir := recording.Dir(b.rec.id) + recording.SegmentsDir + s.info.Track + "/"
	for o, err := range b.fold.keeper.store.List(ctx, dir) {
		if err != nil {
			return err
		}
		id, ok := parseSegmentName(strings.TrimPrefix(o.Key, dir))
		if e := whole.epochs[id.epoch]; !ok || e != nil && e.done.Contains(id.n) || fo.has(id) {
			continue
		}
		taken, err := b.trust(ctx, s, fo, id, false)
		if err != nil {
			return err
		}
		if taken {
			trusted++
		}
	}
	for id, e := range whole.epochs {
		for r := range e.done.All() {
			for n := uint64(r.From); n <= uint64(r.To); n++ {
				if fo.has(segmentID{id, uint32(n)}) {
					continue
				}
				if _, err := b.trust(ctx, s, fo, segmentID{id, uint32(n)}, true); err != nil {
					return err
				}
			}
		}
	}
	if trusted > 0 {
		b.note("track %s: the log begins at position %d: %d closed segments are the truth and were not made again", s.info.Track, b.log.first, trusted)
	}
	return nil
}

// trustVouched takes the stored segments whose SHA-256 is the manifest's, and gives their number: where the log has forgotten the first copy of a frame and
// still has a later one, it would tell otherwise. whole, which is read from the log, is told of them, too, and makes none of them.
func (b *rebuild) trustVouched(ctx context.Context, s *knownTrack, fo, whole *follow) (trusted int, err error) {
	if !b.vouched {
		return 0, nil
	}
	for _, info := range b.known[s.info.Track].Segments {
		want := wanted{room: b.rm.name, handle: s.handle, damaged: damaged{recording: b.rec.id, track: s.info.Track, epoch: info.Epoch, n: info.N}}
		var data []byte
		var segment *recording.Segment
		err := b.fold.keeper.insist(ctx, "read "+want.key(), func(ctx context.Context) (err error) {
			data, segment, err = b.fold.keeper.look(ctx, want)
			return err
		})
		if errors.As(err, new(*damaged)) {
			continue
		}
		if err != nil {
			return trusted, err
		}
		if b.asInManifest(s.info.Track, segmentID{info.Epoch, info.N}, data) {
			fo.take(segment, fingerprintOf(data))
			whole.take(segment, fingerprintOf(data))
			trusted++
		}
	}
	return trusted, nil
}

// vouches says whether a stored manifest can be trusted more than what is left of a log: by this recorder's own signature, where it signs.
func (b *rebuild) vouches(ctx context.Context, manifest []byte) (bool, error) {
	key, signature, err := b.fold.r.signature(b.rec.id, manifest)
	if err != nil || key == "" {
		return err == nil, err
	}
	stored, err := b.fold.keeper.get(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	return err == nil && bytes.Equal(stored, signature), err // Ed25519: the same key makes the same object
}

// has says whether a segment is closed.
func (f *follow) has(id segmentID) bool {
	e := f.epochs[id.epoch]
	return e != nil && e.done.Contains(id.n)
}

// trust takes a segment as it is, unless it is none of the track, or not what the manifest says. made says that it has just been made
// out of the log.
func (b *rebuild) trust(ctx context.Context, s *knownTrack, fo *follow, id segmentID, made bool) (taken bool, err error) {
	want := wanted{room: b.rm.name, handle: s.handle, damaged: damaged{recording: b.rec.id, track: s.info.Track, epoch: id.epoch, n: id.n}}
	var data []byte
	var segment *recording.Segment
	err = b.render.insist(ctx, "read "+want.key(), func(ctx context.Context) (err error) {
		data, segment, err = b.render.look(ctx, want)
		return err
	})
	var bad *damaged
	switch {
	case errors.As(err, &bad):
		b.note("%s", bad.Error())
		return false, nil
	case err != nil:
		return false, err
	case !made && !b.asInManifest(s.info.Track, id, data):
		b.note("segment %d-%d of track %s is damaged: its SHA-256 is not the one in the manifest", id.epoch, id.n, s.info.Track)
		return false, nil
	}
	fo.take(segment, fingerprintOf(data))
	return true, nil
}

func (b *rebuild) asInManifest(track string, id segmentID, data []byte) bool {
	sum := sha256.Sum256(data)
	for _, info := range b.known[track].Segments {
		if info.Epoch == id.epoch && info.N == id.n {
			return info.SHA256 == hex.EncodeToString(sum[:])
		}
	}
	return true
}

// parseSegmentName reads "<epoch>-<n>.seg".
func parseSegmentName(name string) (id segmentID, ok bool) {
	epoch, n, ok := strings.Cut(strings.TrimSuffix(name, ".seg"), "-")
	e, err := strconv.ParseUint(epoch, 10, 8)
	k, err2 := strconv.ParseUint(n, 10, 32)
	id = segmentID{uint8(e), uint32(k)}
	return id, ok && err == nil && err2 == nil && fmt.Sprintf("%d-%d.seg", id.epoch, id.n) == name
}

// missing tells of the segments that are neither in the log nor in the store, and counts them. known, where not nil, says which ones
// there were.
func (b *rebuild) missing(fo *follow, known *recording.Track, through uint64) int {
	lost := map[segmentID]bool{}
	for _, g := range fo.undeclared(through) {
		for n := g.From / recording.SegmentSeqs; n <= g.To/recording.SegmentSeqs; n++ {
			lost[segmentID{g.Epoch, n}] = true
		}
	}
	if known != nil {
		for _, info := range known.Segments {
			if e := fo.epochs[info.Epoch]; e == nil || !e.done.Contains(info.N) {
				lost[segmentID{info.Epoch, info.N}] = true
			}
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(lost), func(x, y segmentID) int { return cmp.Or(cmp.Compare(x.epoch, y.epoch), cmp.Compare(x.n, y.n)) }) {
		b.lost(recording.SegmentKey(b.rec.id, fo.info.Track, id.epoch, id.n), "the log does not have all of it any more")
	}
	return len(lost)
}

// differs compares a track as it is known with what was made; nil differs from nothing.
func differs(known, made *recording.Track) (bool, error) {
	if known == nil {
		return false, nil
	}
	a, err := recording.Encode(known)
	if err != nil {
		return false, err
	}
	b, err := recording.Encode(made)
	return !bytes.Equal(a, b), err
}
