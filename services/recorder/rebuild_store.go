package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"

	"airloom/internal/blob"
	"airloom/internal/query"
	"airloom/internal/recording"
)

// compare holds an object as it was made again, in the scratch store, against the one that is stored, and puts it back.
func (b *rebuild) compare(ctx context.Context, key string) error {
	keeper := b.fold.keeper
	var equal bool
	err := keeper.insist(ctx, "compare "+key, func(ctx context.Context) (err error) {
		equal, err = same(ctx, b.scratch.Store, key, keeper.store, key)
		return err
	})
	gone := errors.Is(err, blob.ErrNotExist)
	switch {
	case err != nil && !gone:
		return err
	case equal:
		b.tell(func(r *query.Rebuild) { r.Same++ })
		return nil
	}
	o := query.RebuiltObject{Object: strings.TrimPrefix(key, recording.Dir(b.rec.id)), State: query.ObjectDamaged, PutBack: !b.dry}
	if gone {
		o.State = query.ObjectMissing
	}
	if !b.dry {
		if err := b.putBack(ctx, key); err != nil {
			return err
		}
	}
	b.found(o)
	return nil
}

// putBack stores an object from the scratch store; what is there is moved to quarantine.
func (b *rebuild) putBack(ctx context.Context, key string) error {
	keeper := b.fold.keeper
	if err := keeper.quarantine(ctx, key); err != nil {
		return err
	}
	err := keeper.insist(ctx, "store "+key, func(ctx context.Context) error { return transfer(ctx, b.scratch.Store, key, keeper.store, key) })
	if errors.Is(err, blob.ErrExists) { // another recorder rebuilds, too: what it stored is what this one would have
		return nil
	}
	return err
}

// put makes an object in the scratch store and compares it.
func (b *rebuild) put(ctx context.Context, key string, data []byte) error {
	if err := b.scratch.Put(ctx, key, data); err != nil {
		return err
	}
	return b.compare(ctx, key)
}

// lost tells of an object that cannot be made again, unless the stored one is good.
func (b *rebuild) lost(key, why string) {
	b.found(query.RebuiltObject{Object: strings.TrimPrefix(key, recording.Dir(b.rec.id)), State: query.ObjectLost, Why: why})
}

// manifest makes the manifest again. It never changes: where it was signed, it is not replaced by other bytes than those.
func (b *rebuild) manifest(ctx context.Context, whole bool) error {
	key := recording.ManifestKey(b.rec.id)
	if !whole {
		if b.known == nil {
			b.lost(key, "not all of its tracks can be made again")
		}
		return nil
	}
	data, err := recording.Encode(b.fold.manifest(b.rm, b.rec))
	if err != nil {
		return err
	}
	stored, err := b.fold.keeper.get(ctx, key)
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return err
	}
	other, err := b.signedOtherwise(ctx, stored, data)
	if err != nil {
		return err
	}
	if other {
		b.lost(key, "what a recorder signed is not what the log says now: it was left as it is")
		return nil
	}
	if err := b.put(ctx, key, data); err != nil {
		return err
	}
	return b.sign(ctx, data)
}

// sign puts this recorder's signature back where it is missing or damaged. What the log no longer tells is not signed anew: who changed it in the
// store and took the signature away would get another one.
func (b *rebuild) sign(ctx context.Context, manifest []byte) error {
	key, data, err := b.fold.r.signature(b.rec.id, manifest)
	if key == "" || err != nil {
		return err
	}
	switch report := b.so(); {
	case b.late && (b.trusted || report.Missing+report.Damaged+report.Lost > 0):
		return nil
	case b.late:
		return b.fold.keeper.putNew(ctx, key, data)
	case !b.trusted:
		return b.put(ctx, key, data)
	}
	_, err = b.fold.keeper.get(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		b.note("the manifest is not signed by this recorder, and not signed now: the log no longer tells all of it")
		return nil
	}
	return err
}

// signedOtherwise says whether there is a good signature of the stored manifest, and that is not the one that was made again.
func (b *rebuild) signedOtherwise(ctx context.Context, stored, made []byte) (bool, error) {
	if stored == nil || bytes.Equal(stored, made) {
		return false, nil
	}
	dir := recording.Dir(b.rec.id)
	for o, err := range b.fold.keeper.store.List(ctx, dir) {
		if err != nil {
			return false, err
		}
		name := strings.TrimPrefix(o.Key, dir)
		keyID, ok := recording.SignedBy(name)
		if !ok || o.Size > recording.LongestSignature {
			continue
		}
		signature, err := b.fold.keeper.get(ctx, o.Key)
		if err != nil {
			return false, err
		}
		if _, err := recording.CheckSignature(signature, stored, b.rec.id, keyID); err == nil {
			return true, nil
		}
	}
	return false, nil
}

// readManifest reads the stored manifest, where it can be read.
func (b *rebuild) readManifest(ctx context.Context) error {
	data, err := b.fold.keeper.get(ctx, recording.ManifestKey(b.rec.id))
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var m recording.Manifest
	if json.Unmarshal(data, &m) != nil || m.Recording != b.rec.id || m.State != recording.Closed {
		return nil
	}
	b.known = map[string]recording.Track{}
	for _, t := range m.Tracks {
		b.known[t.Track] = t
	}
	b.vouched, err = b.vouches(ctx, data)
	if b.rec.unset && b.vouched { // of a build that took its recorder's own default
		b.rec.keep = m.Keep
	}
	return err
}

// stored is a track as its own object or the manifest has it; nil where neither can be read.
func (b *rebuild) stored(ctx context.Context, id string) *recording.Track {
	if t, ok := b.known[id]; ok {
		return &t
	}
	data, err := b.fold.keeper.get(ctx, recording.TrackKey(b.rec.id, id))
	t := new(recording.Track)
	if err != nil || json.Unmarshal(data, t) != nil || t.Track != id || t.State != recording.Closed {
		return nil
	}
	return t
}
