package recorder

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// settle brings tracks that are over to their end, step by step: first the closing fact, which says up to where in the log
// the track counts; then, once all of that is read, a fact for each gap; then the last segments and the file.
func (f *fold) settle(ctx, work context.Context) error {
	for _, rm := range f.rooms {
		if rm.asked.IsZero() && !rm.state.Stopping && len(rm.due) == 0 {
			continue
		}
		if err := f.propose(work, rm, ""); err != nil {
			return err
		}
	}
	for fo := range f.followed() {
		if !fo.ended || fo.rendering {
			continue
		}
		if err := f.settleTrack(ctx, work, fo); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) settleTrack(ctx, work context.Context, fo *follow) error {
	rm := f.rooms[fo.room]
	if rm.state.LastOn("gap", fo.info.Track) < fo.asked && time.Since(fo.askedAt) < askAgain {
		return nil // a fact is on its way to us
	}
	if fo.closing == nil {
		return f.close(ctx, rm, fo)
	}
	if f.read < fo.closing.through {
		return nil
	}
	if fo.anewFrom != 0 {
		err := f.readAgain(ctx, work, fo, fo.anewFrom-1, fo.closing.through)
		if err == nil {
			fo.anewFrom = 0
		}
		return err
	}
	if fo.clipped() {
		fo.excuse()
	} else if gaps := fo.undeclared(fo.closing.through); len(gaps) > 0 {
		facts := make([]room.Fact, len(gaps))
		for i, g := range gaps {
			facts[i] = g
		}
		return f.say(ctx, rm, fo, facts)
	}
	for _, s := range fo.rest() {
		if err := f.keep(work, fo, s); err != nil {
			return err
		}
	}
	if after, ok := fo.takeBack(maxOpen); ok {
		return f.readBack(work, fo, after, fo.closing.through)
	}
	f.render(work, fo)
	return nil
}

// close appends the closing fact, when nothing is missing or it was waited long enough for what is.
func (f *fold) close(ctx context.Context, rm *knownRoom, fo *follow) error {
	if fo.head == 0 {
		at, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		fo.head = at.last
	}
	through := f.read
	switch {
	case fo.graceIsOver(f.r.cfg.Grace):
		// All that was stored by now counts, be it read yet or not.
		at, err := f.stand(ctx, f.packs)
		if err != nil {
			return err
		}
		through = max(through, at.last)
	case f.read < fo.head || !fo.whole():
		return nil
	}
	return f.say(ctx, rm, fo, []room.Fact{room.TrackClosed{Track: fo.info.Track, Through: through}})
}

func decide(s *room.State, fact room.Fact) (room.Draft, error) {
	switch fact := fact.(type) {
	case room.TrackClosed:
		return s.CloseTrack(fact.Track, fact.Through)
	case room.GapDeclared: // by what this recorder knows: of a closed track, what an edge declared behind its closing says nothing
		kind, id := fact.Subject()
		return room.Draft{Fact: fact, Expect: s.LastOn(kind, id)}, nil
	}
	return room.Draft{}, room.ErrForbidden
}

// graceIsOver counts from when this recorder saw the track's end, by one clock that never jumps: the times of the event's writer and
// of the servers are other machines', and where they are off, sound that was acked would be left out. What ended while no
// recorder was up waits once more, which costs nobody anything.
func (fo *follow) graceIsOver(grace time.Duration) bool { return time.Since(fo.noticed) >= grace }

// whole says that the speaker told the end and nothing is missing up to there. Of a segment that was put aside something is, and where an
// earlier epoch ends nobody has said: what is still under way of it would be closed out. So it would be of a gap that is but a reason: what
// the speaker has given up may wait in the outbox of another edge, which acks it. Of a clipped track nobody knows what is missing.
func (fo *follow) whole() bool {
	if fo.clipped() || !fo.endKnown || fo.endEpoch != fo.firstEpoch {
		return false
	}
	for id, e := range fo.epochs {
		if id != fo.endEpoch || e.aside.Len() > 0 {
			return false
		}
	}
	last := fo.lastSeq(fo.endEpoch)
	return last < 0 || len(slices.Collect(fo.covered(fo.endEpoch, strong).Gaps(0, uint32(last)))) == 0
}

// say appends facts about a track, each on the condition that the one before is the newest.
func (f *fold) say(ctx context.Context, rm *knownRoom, fo *follow, facts []room.Fact) error {
	last := uint64(0)
	fo.askedAt = time.Now()
	for _, fact := range facts {
		draft, err := decide(rm.state, fact)
		if errors.Is(err, room.ErrNothingToDo) {
			continue
		}
		if err != nil {
			return err
		}
		if last != 0 {
			draft.Expect = last
		}
		last, err = f.r.log.Append(ctx, rm.name, draft, "")
		switch {
		case errors.Is(err, eventlog.ErrConflict):
			fo.asked = draft.Expect + 1 // there is a newer one: it decides
			return nil
		case err != nil:
			f.r.metrics.retries.Add(1)
			if now := time.Now(); now.Sub(f.toldUnsettled) >= time.Second { // an outage is long, and its steps are short
				f.toldUnsettled = now
				f.r.logger.Warn("a track's end cannot be settled now", "room", rm.name, "track", fo.info.Track, "error", err)
			}
			return ctx.Err() // it may be stored all the same; the next step tries again
		}
		fo.asked = last
		if g, ok := fact.(room.GapDeclared); ok {
			f.r.metrics.gaps.Add(1)
			f.r.metrics.missing.Add(int64(g.To) - int64(g.From) + 1)
		}
	}
	return nil
}

// rendered is a track that is stored whole.
type rendered struct {
	follow *follow
	track  recording.Track
	err    error
}

// render makes the track's .opus beside the fold.
func (f *fold) render(work context.Context, fo *follow) {
	fo.rendering = true
	p := fo.plan()
	f.rendering.Go(func() {
		f.places <- struct{}{}
		done := rendered{follow: fo}
		fo.writes.Wait()
		if fo.lost.Load() {
			done.err = errors.New("a segment was not stored")
		}
		if done.err == nil {
			done.track, done.err = (&render{keeper: f.keeper, id: fo.recording, plan: p}).run(work)
		}
		<-f.places
		f.rendered <- done
	})
}

// plan is what the track consists of.
func (fo *follow) plan() *plan {
	p := &plan{room: fo.room, foreign: &fo.foreign, info: fo.info, handle: fo.handle, facts: slices.Clone(fo.gaps)}
	p.info.End = recording.EndUnknown
	switch {
	case fo.cutOff:
		p.info.End = recording.EndStopped
	case fo.endKnown:
		p.info.End = recording.EndDeclared
	}
	for _, id := range fo.ids() {
		first, last := fo.firstSeq(id), fo.lastSeq(id)
		if first < 0 || last < 0 {
			continue
		}
		e := epochPlan{id: id, first: uint32(first), last: uint32(last), unit: nominalUnit(fo.info.FrameMS)}
		if have := fo.epochs[id]; have != nil {
			e.unit = have.unit
			for r := range have.done.All() {
				e.done.Add(r.From, r.To)
			}
			e.sums = maps.Clone(have.sums)
		}
		p.epochs = append(p.epochs, e)
	}
	return p
}

// nominalUnit is how long the seqs of an epoch last of which nothing is there.
func nominalUnit(frameMS float64) uint8 {
	if unit := frameMS * 1000 / 2500; unit >= 1 && unit <= frame.MaxUnits {
		return uint8(unit)
	}
	return 8
}
