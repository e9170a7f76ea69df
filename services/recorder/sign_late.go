package recorder

import (
	"context"
	"errors"
	"slices"
	"time"

	"airloom/internal/blob"
	"airloom/internal/query"
	"airloom/internal/recording"
)

// lateMost is how many recordings a recorder looks at, the newest first, for its own signature when it starts.
const lateMost = 64

// signLate signs the newest recordings of the region that are closed and lack this recorder's signature: it died between the two, and another
// recorder went on from there. Each is made again from the log first, beside all other work and one at a time; what the log
// no longer tells, or tells otherwise than the store, is left alone. It returns when that is done.
func (r *Recorder) signLate(ctx context.Context) error {
	if r.cfg.Key == nil {
		return nil
	}
	for tick := time.NewTicker(100 * time.Millisecond); !r.caught.Load(); {
		select {
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		case <-tick.C:
		}
	}
	ids, err := newAnswers(r).ids(ctx)
	if err != nil {
		r.logger.Warn("the store does not tell which recordings are not signed", "error", err)
		return ctx.Err()
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return recording.OfAnotherRegion(id, r.cfg.Region) }) // regions may share a store
	for _, id := range ids[:min(lateMost, len(ids))] {
		if err := r.signOne(ctx, id); err != nil && ctx.Err() == nil {
			r.logger.Warn("a recording that lacks this recorder's signature is not signed", "recording", id, "error", err)
		}
	}
	return ctx.Err()
}

func (r *Recorder) signOne(ctx context.Context, id string) error {
	key, _, err := r.signature(id, nil)
	if err != nil {
		return err
	}
	if there, err := r.has(ctx, key); there || err != nil {
		return err
	}
	if there, err := r.has(ctx, recording.ManifestKey(id)); !there || err != nil {
		return err
	}
	work, err := r.openRebuild(ctx, query.RebuildQuestion{Recording: id, DryRun: true})
	if errors.Is(err, errUnknown) || errors.Is(err, errOpen) {
		return nil
	}
	if err != nil {
		return err
	}
	work.late = true
	return work.run(ctx)
}

func (r *Recorder) has(ctx context.Context, key string) (bool, error) {
	_, err := r.store.Get(ctx, key)
	if errors.Is(err, blob.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
