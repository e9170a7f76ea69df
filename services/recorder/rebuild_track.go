package recorder

import (
	"context"
	"sync"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// clocksOff is how far the clocks of edges and servers are believed to be apart.
const clocksOff = 10 * time.Minute

// track makes one track again. It gives nil where that cannot be done and the stored track cannot be read either.
func (b *rebuild) track(ctx context.Context, s *knownTrack) (*recording.Track, error) {
	fo := b.follow(s)
	through := b.through(s)
	trusting := b.mayHaveForgotten(s)
	if !trusting {
		if err := b.segments(ctx, fo, s, through); err != nil {
			return nil, err
		}
		if trusting = len(fo.undeclared(through)) > 0; trusting && b.closing {
			return nil, errClosing
		} else if trusting { // the log has lost what it should have
			fo = b.follow(s)
		}
	}
	if trusting {
		if err := b.trustStored(ctx, s, fo, through); err != nil {
			return nil, err
		}
		if err := b.segments(ctx, fo, s, through); err != nil {
			return nil, err
		}
	}
	if b.closing && len(fo.undeclared(through)) > 0 {
		return nil, errClosing
	}
	b.trusted = b.trusted || trusting
	var known *recording.Track // what the log may not be able to say any more
	if trusting {
		if known = b.stored(ctx, s.info.Track); known == nil {
			b.note("track %s: neither the manifest nor the track's own part of it can be read: its end is taken from what is stored and logged", s.info.Track)
		}
	}
	if lost := b.missing(fo, known, through); lost > 0 {
		b.note("track %s: the log begins at position %d: %d segments are neither in it nor in the store as they were, and cannot be made again", s.info.Track, b.log.first, lost)
		return known, nil
	}
	p := fo.plan()
	p.foreign = new(sync.Map)
	track, err := (&render{keeper: b.render, id: b.rec.id, plan: p}).run(ctx)
	if err != nil {
		return nil, err
	}
	if other, err := differs(known, &track); err != nil || other {
		b.lost(recording.TrackKey(b.rec.id, track.Track), "the manifest says otherwise than the segments, and the log cannot tell any more")
		return known, err
	}
	if track.File != "" {
		if err := b.compare(ctx, recording.OpusKey(b.rec.id, track.Track)); err != nil {
			return nil, err
		}
	}
	return &track, b.compare(ctx, recording.TrackKey(b.rec.id, track.Track))
}

// follow begins the fold of a track as it was before its closing fact: gaps that say up to where they hold, and reasons.
func (b *rebuild) follow(s *knownTrack) *follow {
	fo := newFollow(b.rm.name, s.info, s.handle)
	fo.recording, fo.from = b.rec.id, b.rec.clipFrom(s)
	for _, fact := range b.facts(s) {
		if _, over := fact.(room.TrackClosed); over {
			break
		}
		fo.fact(fact)
	}
	return fo
}

// facts are those that count of a track.
func (b *rebuild) facts(s *knownTrack) []room.Fact {
	if n, cut := b.rec.cut[s.info.Track]; cut {
		return s.facts[:n]
	}
	return s.facts
}

// through is the log position up to which a track counts.
func (b *rebuild) through(s *knownTrack) uint64 {
	if _, cut := b.rec.cut[s.info.Track]; cut {
		return b.rec.through
	}
	return closedThrough(s)
}

func closedThrough(s *knownTrack) uint64 {
	for _, fact := range s.facts {
		if closed, ok := fact.(room.TrackClosed); ok {
			return closed.Through
		}
	}
	return 0
}

// finishFacts folds the end of a track, once the log has been read.
func (b *rebuild) finishFacts(fo *follow, s *knownTrack) {
	if _, cut := b.rec.cut[s.info.Track]; cut {
		fo.cut(b.rec.through)
		return
	}
	fo.end(s.endKnown, s.endEpoch, s.last)
	over := false
	for _, fact := range s.facts {
		if _, is := fact.(room.TrackClosed); is {
			over = true
		}
		if over {
			fo.fact(fact)
		}
	}
}

// mayHaveForgotten says whether the log may have begun later than the track.
func (b *rebuild) mayHaveForgotten(s *knownTrack) bool {
	return b.log.first > b.rec.clipFrom(s)+1 && (b.log.last < b.log.first || b.log.firstAt.After(s.info.Started.Add(-clocksOff)))
}

// segments makes the segments of a track from the log and compares each.
func (b *rebuild) segments(ctx context.Context, fo *follow, s *knownTrack, through uint64) error {
	if err := b.read(ctx, fo, 0, through, func(read uint64) error {
		err := b.take(ctx, fo, fo.closable(read))
		fo.putAside(maxOpen, 0)
		return err
	}); err != nil {
		return err
	}
	b.finishFacts(fo, s)
	for {
		b.excuse(ctx, fo, s)
		if err := b.take(ctx, fo, fo.restBut(fo.undeclared(through))); err != nil {
			return err
		}
		after, ok := fo.takeBack(maxOpen)
		if !ok {
			return nil
		}
		if err := b.read(ctx, fo, after, through, func(uint64) error { return nil }); err != nil {
			return err
		}
		if err := b.take(ctx, fo, fo.closable(through)); err != nil {
			return err
		}
	}
}

// excuse is follow.excuse for what may be missing in a clipped track: where the stored manifest says that a seq was there, it is the log that
// has lost it.
func (b *rebuild) excuse(ctx context.Context, fo *follow, s *knownTrack) {
	if !fo.clipped() {
		return
	}
	known := b.stored(ctx, s.info.Track)
	if known == nil && b.mayHaveForgotten(s) {
		return // nobody can tell
	}
	for _, g := range fo.undeclared(0) {
		excused := []frame.Range{{From: g.From, To: g.To}}
		for _, r := range heldOf(known, g) {
			excused = subtract(excused, r)
		}
		for _, r := range excused {
			g.From, g.To = r.From, r.To
			fo.gaps = append(fo.gaps, g)
		}
	}
}

// heldOf gives what of a gap's seqs a track has, nothing where it is nil.
func heldOf(track *recording.Track, g room.GapDeclared) (out []frame.Range) {
	if track == nil {
		return nil
	}
	for _, e := range track.Epochs {
		if from, to := max(e.First, g.From), min(e.Last, g.To); e.Epoch == g.Epoch && from <= to {
			out = append(out, frame.Range{From: from, To: to})
		}
	}
	for _, have := range track.Gaps {
		if have.Epoch == g.Epoch {
			out = subtract(out, frame.Range{From: have.From, To: have.To})
		}
	}
	return out
}

// read folds a track's packs, and calls each from time to time with the position up to which it has.
func (b *rebuild) read(ctx context.Context, fo *follow, after, through uint64, each func(read uint64) error) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	packs, seqs, at := 0, 0, uint64(0)
	err := b.fold.readTrack(reading, fo.room, fo.info.Track, after, through, func(m message) {
		if failed != nil {
			return
		}
		var p frame.Packet
		for rest := m.data; len(rest) > 0; {
			var err error
			if rest, err = frame.Parse(rest, &p); err == nil && p.Handle == fo.handle {
				seqs += fo.add(m.pos, &p).recorded
			}
		}
		at = max(at, m.pos)
		if packs++; packs%sortedAgain == 0 || seqs >= sortedSeqs {
			seqs = 0
			if failed = each(at); failed != nil {
				stop()
			}
		}
	})
	if failed != nil {
		return failed
	}
	if err != nil {
		return err
	}
	return each(through)
}

// take compares closed segments.
func (b *rebuild) take(ctx context.Context, fo *follow, segments []*recording.Segment) error {
	for _, s := range segments {
		data, err := s.Append(nil)
		if err != nil {
			return err
		}
		n := s.First / recording.SegmentSeqs
		fo.epochs[s.Epoch].sums[n] = fingerprintOf(data)
		if err := b.put(ctx, recording.SegmentKey(b.rec.id, fo.info.Track, s.Epoch, n), data); err != nil {
			return err
		}
	}
	return nil
}
