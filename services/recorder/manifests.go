package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// finish takes over a track that is stored whole.
func (f *fold) finish(ctx context.Context, done rendered) error {
	var bad *damaged
	if errors.As(done.err, &bad) {
		done.follow.rendering = false
		return f.mend(ctx, done.follow, bad)
	}
	if done.err != nil {
		return fmt.Errorf("finish track %s: %w", done.follow.info.Track, done.err)
	}
	fo := done.follow
	rm := f.rooms[fo.room]
	f.r.metrics.tracks.Add(1)
	f.unfollow(fo)
	rec := rm.recording(fo.recording)
	if rec == nil {
		return nil
	}
	rec.done[done.track.Track] = done.track
	if err := f.syncRecording(ctx, rm, rec); err != nil {
		return err
	}
	if rec.finished {
		delete(f.calm, rec.id)
		rm.forget()
	}
	return nil
}

// remember takes a track's part of the manifest from the store.
func (rec *knownRecording) remember(track string, data []byte) error {
	var stored recording.Track
	err := json.Unmarshal(data, &stored)
	if err == nil && (stored.Track != track || stored.State != recording.Closed) {
		err = errors.New("it is not the closed track")
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", recording.TrackKey(rec.id, track), err)
	}
	rec.done[track] = stored
	return nil
}

// finishRecording stores the manifest of a recording that is stopped and whose tracks are all stored.
func (f *fold) finishRecording(ctx context.Context, rm *knownRoom, rec *knownRecording) error {
	if rec.stopped == nil || len(rec.done) < len(rec.members) {
		return nil
	}
	data, err := recording.Encode(f.manifest(rm, rec))
	if err != nil {
		return err
	}
	if err := f.keeper.putNew(ctx, recording.ManifestKey(rec.id), data); err != nil && !errors.Is(err, blob.ErrExists) {
		return err
	}
	if err := f.sign(ctx, rec.id, data); err != nil {
		return err
	}
	rec.finished, rec.open = true, nil
	return f.keeper.insist(ctx, "delete "+recording.OpenKey(rec.id), func(ctx context.Context) error {
		return f.r.store.Delete(ctx, recording.OpenKey(rec.id))
	})
}

// manifest says what a recording holds so far.
func (f *fold) manifest(rm *knownRoom, rec *knownRecording) recording.Manifest {
	m := recording.Manifest{
		Version: recording.ManifestVersion, Recording: rec.id, Room: rm.name, Keep: rec.keep, By: rec.by, State: recording.Open,
		From: rec.from, Through: rec.through, Started: rec.started, Stopped: rec.stopped, Tracks: []recording.Track{},
	}
	for _, id := range rec.members {
		if done, ok := rec.done[id]; ok {
			m.Tracks = append(m.Tracks, done)
		} else if fo := f.followOf(rm.name, id, rec.id); fo != nil {
			m.Tracks = append(m.Tracks, fo.soFar())
		}
	}
	if rec.stopped != nil && len(rec.done) == len(rec.members) {
		m.State = recording.Closed
	}
	return m
}

// soFar is an open track: what is in its closed segments.
func (f *follow) soFar() recording.Track {
	t := f.info
	t.Epochs, t.Silence, t.Gaps, t.Frames = []recording.Epoch{}, []recording.SeqRange{}, []recording.Gap{}, f.frames
	for _, id := range f.ids() {
		e := f.epochs[id]
		if e == nil || e.doneHigh < 0 {
			continue
		}
		ms := float64(e.unit) * 2.5
		first := uint32(0)
		if f.from > 0 {
			first = uint32(e.doneLow)
		}
		t.Epochs = append(t.Epochs, recording.Epoch{Epoch: id, First: first, Last: uint32(e.doneHigh), FrameMS: ms})
		t.Seconds += float64(e.doneHigh-int64(first)+1) * ms / 1000
		for _, g := range f.gaps {
			if g.Epoch == id && g.From >= first {
				t.Gaps = append(t.Gaps, recording.Gap{SeqRange: recording.SeqRange{Epoch: id, From: g.From, To: g.To}, Reason: g.Reason})
			}
		}
	}
	return t
}

// publishOpen rewrites the manifests of open recordings where they have changed. It tries once, up to the first that cannot be stored: they
// are news, no more. The fold waits meanwhile, and that shows as unrecorded age.
func (f *fold) publishOpen(ctx context.Context) {
	defer func() { f.liveAt = time.Now() }()
	if f.r.failing.Load() {
		return // one of those that insist will see when it works again; this one must not make the fold wait
	}
	defer f.keeper.begin()()
	for _, rm := range f.rooms {
		for _, rec := range rm.recordings {
			if rec.finished {
				continue
			}
			data, err := recording.Encode(f.manifest(rm, rec))
			if err == nil && !bytes.Equal(data, rec.open) {
				err = f.keeper.attempt(ctx, func(ctx context.Context) error { return f.r.store.Put(ctx, recording.OpenKey(rec.id), data) })
				rec.open = data
			}
			if err != nil {
				rec.open = nil
				f.r.logger.Warn("the manifest of an open recording is not up to date", "recording", rec.id, "error", err)
				return // a store that hangs would make the fold wait once for each recording
			}
		}
	}
}
