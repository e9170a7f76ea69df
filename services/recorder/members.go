package recorder

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"airloom/internal/blob"
	"airloom/internal/recording"
)

// sync follows what a room's events say must be recorded, and tells the followed tracks of their end.
func (f *fold) sync(ctx context.Context, rm *knownRoom) error {
	for _, rec := range rm.recordings {
		if f.calm[rec.id] {
			continue
		}
		if err := f.syncRecording(ctx, rm, rec); err != nil {
			return err
		}
	}
	rm.forget()
	return nil
}

// syncRecording is sync for one recording. One that waits for nothing but its tracks to be stored is calm: no event changes it, and it is looked at
// when a track of it is.
func (f *fold) syncRecording(ctx context.Context, rm *knownRoom, rec *knownRecording) error {
	if rec.finished {
		return nil
	}
	calm := rec.stopped != nil
	for _, track := range rec.members {
		if err := f.member(ctx, rm, rec, track); err != nil {
			return err
		}
		fo := f.followOf(rm.name, track, rec.id)
		calm = calm && (fo == nil || fo.ended && fo.closing != nil)
	}
	if err := f.finishRecording(ctx, rm, rec); err != nil {
		return err
	}
	if calm && !rec.finished {
		f.calm[rec.id] = true
	}
	return nil
}

func (f *fold) member(ctx context.Context, rm *knownRoom, rec *knownRecording, track string) error {
	if _, done := rec.done[track]; done {
		return nil
	}
	fo := f.followOf(rm.name, track, rec.id)
	if fo == nil {
		var err error
		if fo, err = f.begin(ctx, rm, rec, track); err != nil || fo == nil {
			return err
		}
	}
	if fo.held = rec.held(); fo.held {
		return nil
	}
	f.touched[fo] = true
	if _, cut := rec.cut[track]; cut {
		fo.cut(rec.through)
		return nil
	}
	if s := rm.tracks[track]; s.over != 0 && (fo.closing == nil || !fo.ended) {
		if fo.noticed.IsZero() {
			fo.noticed = time.Now()
		}
		fo.end(s.endKnown, s.endEpoch, s.last)
	}
	return nil
}

// begin follows a track from its first pack. It returns nil where the track is stored whole already.
func (f *fold) begin(ctx context.Context, rm *knownRoom, rec *knownRecording, track string) (*follow, error) {
	data, err := f.keeper.get(ctx, recording.TrackKey(rec.id, track))
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		return nil, err
	}
	unreadable := error(nil)
	if err == nil {
		if unreadable = rec.remember(track, data); unreadable == nil {
			return nil, nil
		}
	}
	fo := f.follow(rm, rec, track)
	if unreadable != nil {
		if err := f.salvage(ctx, fo, rec.id, unreadable); err != nil {
			return nil, err
		}
	} else if f.unpointed && f.logAt.first > 1 {
		if err := f.takeStored(ctx, fo, rec.id); err != nil {
			return nil, err
		}
	}
	if !fo.clipped() && !rec.stopping {
		if err := f.copy(ctx, fo); err != nil {
			return nil, err
		}
	}
	if after := max(rm.tracks[track].logRead, fo.from); after < f.read {
		return fo, f.readAgain(ctx, ctx, fo, after, f.read)
	}
	return fo, nil
}

// follow makes the fold of a track for a recording out of the facts.
func (f *fold) follow(rm *knownRoom, rec *knownRecording, track string) *follow {
	s := rm.tracks[track]
	fo := rec.follow(rm, s)
	fo.held = rec.held()
	if s.over != 0 && !fo.cutOff {
		fo.end(s.endKnown, s.endEpoch, s.last)
		fo.noticed = time.Now()
	}
	f.follows[fo.key()] = append(f.follows[fo.key()], fo)
	f.byRecording[followKey{rm.name, track, rec.id}] = fo
	f.touched[fo] = true
	f.r.metrics.follows.Store(int64(len(f.byRecording)))
	return fo
}

// follow makes the fold of a track with the facts that count for the recording, and its clip.
func (rec *knownRecording) follow(rm *knownRoom, s *knownTrack) *follow {
	fo := newFollow(rm.name, s.info, s.handle)
	fo.recording, fo.from, fo.firstEpoch = rec.id, rec.clipFrom(s), s.firstEpoch
	facts, isCut := rec.cut[s.info.Track]
	if !isCut {
		facts = len(s.facts)
	}
	for _, fact := range s.facts[:facts] {
		fo.fact(fact)
	}
	if isCut {
		fo.cut(rec.through)
	}
	return fo
}

func (fo *follow) key() trackKey { return trackKey{fo.room, fo.info.Track} }

// followed are all that are followed.
func (f *fold) followed() iter.Seq[*follow] { return maps.Values(f.byRecording) }

// followOf gives the follow of a track for a recording, nil where there is none.
func (f *fold) followOf(room, track, recording string) *follow {
	return f.byRecording[followKey{room, track, recording}]
}

func (f *fold) unfollow(fo *follow) {
	left := slices.DeleteFunc(f.follows[fo.key()], func(other *follow) bool { return other == fo })
	if f.follows[fo.key()] = left; len(left) == 0 {
		delete(f.follows, fo.key())
	}
	delete(f.byRecording, followKey{fo.room, fo.info.Track, fo.recording})
	delete(f.touched, fo)
	f.r.metrics.follows.Store(int64(len(f.byRecording)))
}
