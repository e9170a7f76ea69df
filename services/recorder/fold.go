package recorder

import (
	"context"
	"sync"
	"time"
)

// gathered is how many packs are folded in one step at most.
const gathered = 4096

// sorted is how many packs are folded before what they complete is stored and what is too much is put aside: each may open a segment. One that declares
// silence may open a hundred, so it is no more than so many seqs, either, and those of the last pack.
const (
	sorted     = 512
	sortedSeqs = 10 * sorted
)

type (
	trackKey  struct{ room, track string }
	followKey struct{ room, track, recording string }
)

// fold is the recorder's work, on one goroutine that owns all of it.
//
// It reads two streams that have no common order, and needs one rule between them: before it looks at a pack, it has
// folded every event that was in the log when it had the pack. So a pack's track is known, and whether it is recorded;
// and a pack that is read after the event that ended its track may have been logged after it.
type fold struct {
	r                *Recorder
	keeper           *keeper
	events, packs    *tap
	eventsIn         chan message // bounded: reading waits
	packsIn          chan message // bounded: reading waits
	eventsAt, logAt  stand        // as they were when the fold resumed
	folded, read     uint64       // positions up to which events and log are done
	rooms            map[string]*knownRoom
	follows          map[trackKey][]*follow // of each track one for each recording that waits for it
	byRecording      map[followKey]*follow  // the same ones
	calm             map[string]bool        // recordings that wait for nothing but their tracks to be stored
	touched          map[*follow]bool       // may have segments to close
	unsorted         int                    // seqs that were taken since they were looked at
	asked            bool                   // an event was appended, or refused because there is a newer one
	writes           *pool
	places           chan struct{}  // for renders
	rendered         chan rendered  // unbuffered: run, drain and give receive until all renders are over
	rendering        sync.WaitGroup // renders that have not been received
	stored           []byte         // the checkpoint that the store has
	warned           bool           // of other services' defaults
	toldUnsettled    time.Time      // when it was last said that an end cannot be settled
	unpointed        bool           // it was damaged: what is closed, only the store tells
	storedAt, liveAt time.Time
	stop             context.CancelFunc
}

// run folds until ctx ends.
func (f *fold) run(ctx, work context.Context) error {
	work, f.stop = context.WithCancel(work)
	defer f.stop()
	tick := time.NewTicker(f.r.cfg.Gather)
	defer tick.Stop()
	for ctx.Err() == nil {
		more, err := f.step(ctx, work)
		if err != nil && ctx.Err() != nil && work.Err() == nil {
			break // it waited for the log, between one whole thing and the next
		}
		if err != nil {
			return f.give(err)
		}
		f.r.caught.Store(true)
		if more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case done := <-f.rendered:
			if err := f.finish(work, done); err != nil {
				return f.give(err)
			}
		}
	}
	return f.drain(work)
}

// give is how the fold ends when it cannot go on: what is only in memory is forgotten, and read again by the next one.
func (f *fold) give(err error) error {
	f.writes.failed.Store(true)
	f.stop()
	f.writes.wait()
	for done := waited(&f.rendering); ; {
		select {
		case <-f.rendered:
		case <-done:
			return err
		}
	}
}

func waited(group *sync.WaitGroup) <-chan struct{} {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	return done
}

// drain finishes what was begun and stores how far the fold is.
func (f *fold) drain(work context.Context) error {
	for done := waited(&f.rendering); ; {
		select {
		case one := <-f.rendered:
			if err := f.finish(work, one); err != nil {
				return f.give(err)
			}
			continue
		case <-done:
		}
		break
	}
	f.publishOpen(work)
	return f.checkpoint(work)
}

// step folds what has come. more says that there was as much as fits in a step.
func (f *fold) step(ctx, work context.Context) (more bool, err error) {
	packs := f.gather()
	if err := f.catchUp(ctx, work, len(packs) > 0 || !f.r.caught.Load()); err != nil { // the packs are read again then
		return false, err
	}
	if err := f.foldPacks(work, packs); err != nil {
		return false, err
	}
	f.r.metrics.lag.Store(int64(len(f.packsIn)))
	f.r.metrics.unread.Store(0)
	if err := f.closeSegments(work); err != nil {
		return false, err
	}
	if err := f.settle(ctx, work); err != nil {
		return false, err
	}
	if err := f.store(work); err != nil {
		return false, err
	}
	return len(packs) == gathered, nil
}

// gather takes the packs that have come.
func (f *fold) gather() (packs []message) {
	for len(packs) < gathered {
		select {
		case m := <-f.packsIn:
			packs = append(packs, m)
			if len(packs) == 1 {
				f.r.metrics.unread.Store(m.at.UnixNano())
			}
		default:
			return packs
		}
	}
	return packs
}

// catchUp folds the events that have come; with all it folds every event that is in the log now, its own ones included.
// What it has begun with an event it finishes under work; it stops between two.
func (f *fold) catchUp(ctx, work context.Context, all bool) error {
	for {
		f.asked = false
		var head uint64
		if all {
			at, err := f.stand(ctx, f.events)
			if err != nil {
				return err
			}
			head = at.last
		}
		for {
			m, ok, err := f.nextEvent(ctx, f.folded < head)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := f.event(work, m); err != nil {
				return err
			}
		}
		if !f.asked || !all {
			return nil
		}
	}
}

func (f *fold) nextEvent(ctx context.Context, wait bool) (m message, ok bool, err error) {
	if !wait {
		select {
		case m = <-f.eventsIn:
			return m, true, nil
		default:
			return m, false, nil
		}
	}
	select {
	case m = <-f.eventsIn:
		return m, true, nil
	case <-ctx.Done():
		return m, false, ctx.Err()
	}
}

// stand asks until a stream's leader answers.
func (f *fold) stand(ctx context.Context, t *tap) (stand, error) {
	for wait := newBackoff(f.r.cfg.Retry); ; {
		at, err := t.stand(ctx)
		if err == nil {
			return at, nil
		}
		if ctx.Err() == nil {
			f.r.metrics.retries.Add(1)
			f.r.logger.Warn("the log does not answer", "error", err)
		}
		if err := wait.pause(ctx); err != nil {
			return stand{}, err
		}
	}
}
