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
	if done.err != nil {
		return fmt.Errorf("finish track %s: %w", done.follow.info.Track, done.err)
	}
	fo := done.follow
	h := f.halls[fo.room]
	for id, track := range done.tracks {
		h.take(id).done[track.Track] = track
	}
	if len(done.tracks) < len(fo.recordings) { // another recording wants it since
		fo.rendering = false
		return nil
	}
	f.r.metrics.tracks.Add(1)
	delete(f.follows, trackKey{fo.room, fo.info.Track})
	delete(f.touched, fo)
	f.r.metrics.follows.Store(int64(len(f.follows)))
	return f.sync(ctx, h)
}

// remember takes a track's part of the manifest from the store.
func (t *take) remember(track string, data []byte) error {
	var stored recording.Track
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("read %s: %w", recording.TrackKey(t.id, track), err)
	}
	t.done[track] = stored
	return nil
}

// finishTake stores the manifest of a recording that is stopped and whose tracks are all stored.
func (f *fold) finishTake(ctx context.Context, h *hall, t *take) error {
	if t.stopped == nil || len(t.done) < len(t.members) {
		return nil
	}
	data, err := recording.Encode(f.manifest(h, t))
	if err != nil {
		return err
	}
	if err := f.keeper.putNew(ctx, recording.ManifestKey(t.id), data); err != nil && !errors.Is(err, blob.ErrExists) {
		return err
	}
	t.finished, t.open = true, nil
	return f.keeper.insist(ctx, "delete "+recording.OpenKey(t.id), func(ctx context.Context) error {
		return f.r.store.Delete(ctx, recording.OpenKey(t.id))
	})
}

// manifest says what a recording holds so far.
func (f *fold) manifest(h *hall, t *take) recording.Manifest {
	m := recording.Manifest{
		Version: recording.ManifestVersion, Recording: t.id, Room: h.name, Keep: t.keep, By: t.by, State: recording.Open,
		Started: t.started, Stopped: t.stopped, Tracks: []recording.Track{},
	}
	for _, id := range t.members {
		if done, ok := t.done[id]; ok {
			m.Tracks = append(m.Tracks, done)
		} else if fo := f.follows[trackKey{h.name, id}]; fo != nil {
			m.Tracks = append(m.Tracks, fo.soFar())
		}
	}
	if t.stopped != nil && len(t.done) == len(t.members) {
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
		t.Epochs = append(t.Epochs, recording.Epoch{Epoch: id, Last: uint32(e.doneHigh), FrameMS: ms})
		t.Seconds += float64(e.doneHigh+1) * ms / 1000
		for _, g := range f.gaps {
			if g.Epoch == id {
				t.Gaps = append(t.Gaps, recording.Gap{SeqRange: recording.SeqRange{Epoch: id, From: g.From, To: g.To}, Reason: g.Reason})
			}
		}
	}
	return t
}

// publishOpen rewrites the manifests of open recordings where they have changed. It tries once: they are news, no more.
func (f *fold) publishOpen(ctx context.Context) {
	for _, h := range f.halls {
		for _, t := range h.takes {
			if t.finished {
				continue
			}
			data, err := recording.Encode(f.manifest(h, t))
			if err == nil && !bytes.Equal(data, t.open) {
				err = f.r.store.Put(ctx, recording.OpenKey(t.id), data)
				t.open = data
			}
			if err != nil {
				t.open = nil
				f.r.logger.Warn("the manifest of an open recording is not up to date", "recording", t.id, "error", err)
			}
		}
	}
	f.liveAt = time.Now()
}
