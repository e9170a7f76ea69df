package recorder

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

var (
	errUnknown = errors.New("the log knows of no such recording")
	errOpen    = errors.New("the recording is not closed yet: rebuild it when it is")
	errClosing = errors.New("the recording is being closed, and what is missing in it is not declared yet: try again in a minute; where that lasts, see that a recorder runs")
)

// rebuild makes the objects of one closed recording again out of the log, by the same pure code as the first time, compares them with
// those that are stored, and puts back what is missing or damaged. It shares nothing with the fold that records.
type rebuild struct {
	fold    *fold // never run: it knows how to read the log
	rm      *knownRoom
	rec     *knownRecording
	dry     bool
	scratch *scratch
	render  *keeper // over scratch
	log     stand
	known   map[string]recording.Track // the stored manifest's tracks, where it can be read
	vouched bool                       // the stored manifest can be trusted more than what is left of the log
	closing bool                       // the recorder has not stored the manifest yet, and may not have declared all that is missing
	late    bool                       // only to sign what is stored, where it is what the log says
	trusted bool                       // some of it was taken as it is stored: the log does not reach back to it

	mu     sync.Mutex
	report query.Rebuild
}

// newReport is what there is to say at the beginning.
func newReport(q query.RebuildQuestion) query.Rebuild {
	return query.Rebuild{Recording: q.Recording, State: query.RebuildRunning, DryRun: q.DryRun, Objects: []query.RebuiltObject{}, Notes: []string{}}
}

// openRebuild finds a recording in the log; r's room must be as asked for. Errors: errUnknown, errOpen, or the log's.
func (r *Recorder) openRebuild(ctx context.Context, q query.RebuildQuestion) (*rebuild, error) {
	b := &rebuild{fold: newFold(r), dry: q.DryRun, report: newReport(q)}
	b.fold.keeper = b.keeper(r.store)
	name, err := b.roomOf(ctx, q.Recording)
	if err != nil {
		return nil, err
	}
	if name == "" || q.Room != "" && q.Room != name {
		return nil, errUnknown
	}
	if b.rm, err = b.fold.load(ctx, name, math.MaxUint64); err != nil {
		return nil, err
	}
	b.report.Room = name
	if b.rec = b.rm.recording(q.Recording); b.rec == nil {
		return nil, errUnknown
	}
	b.report.Tracks = len(b.rec.members)
	if b.rec.stopped == nil || slices.ContainsFunc(b.rec.members, func(id string) bool { return !b.rec.known(b.rm.tracks[id]) }) {
		return nil, errOpen
	}
	return b, nil
}

// keeper stores as the recorder's does, and is not counted as the recorder's work.
func (b *rebuild) keeper(store Store) *keeper {
	r := b.fold.r
	k := newKeeper(store, r.cfg.Retry, &metrics{}, r.logger)
	k.stall = r.cfg.Stall
	return k
}

// roomOf gives the room of a recording, by the event that started it; "" where there is none.
func (b *rebuild) roomOf(ctx context.Context, id string) (name string, err error) {
	head, err := b.fold.events.stand(ctx)
	if err != nil {
		return "", err
	}
	r := b.fold.r
	stream := subject.EventStream(r.cfg.Region)
	_, err = bus.ReadSubject(ctx, r.bus.JetStream(), stream, subject.AllRecordingEvents(r.cfg.Region), 0, head.last, func(m bus.Stored) {
		e, err := r.log.Decode(m.Subject, m.Data, m.Position)
		if err != nil {
			return // of a newer build, or broken: not what is looked for
		}
		if fact, ok := e.Fact.(room.RecordingStarted); ok && fact.Recording == id {
			name = e.Room
		}
	})
	if err != nil {
		return "", fmt.Errorf("look for recording %s in the log: %w", id, err)
	}
	return name, nil
}

// run does the work and gives what was found; it may be asked for meanwhile.
func (b *rebuild) run(ctx context.Context) (err error) {
	r := b.fold.r
	if b.scratch, err = newScratch(ctx, r.store); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.scratch.close()) }()
	defer func() { err = b.scratch.explain(ctx, err) }()
	b.render = b.keeper(b.scratch)
	b.render.hopeless = diskFull
	if b.closing, err = b.beingClosed(ctx); err != nil {
		return err
	}
	if b.log, err = b.fold.stand(ctx, b.fold.packs); err != nil {
		return err
	}
	if err := b.readManifest(ctx); err != nil {
		return err
	}
	whole := true
	for _, id := range b.rec.members {
		track, err := b.track(ctx, b.rm.tracks[id])
		if err != nil {
			return fmt.Errorf("rebuild track %s: %w", id, err)
		}
		if track == nil {
			whole = false
		} else {
			b.rec.done[id] = *track
		}
		if err := b.scratch.drop(b.rec.id, id); err != nil {
			return err
		}
		b.tell(func(report *query.Rebuild) { report.TracksDone++ })
	}
	return b.manifest(ctx, whole)
}

// justNow is how long after its end a recording without a manifest counts as being closed, though no open one tells of it.
const justNow = 10 * time.Minute

// beingClosed says whether the recording is still in a recorder's hands.
func (b *rebuild) beingClosed(ctx context.Context) (bool, error) {
	for _, key := range []string{recording.ManifestKey(b.rec.id), recording.OpenKey(b.rec.id)} {
		_, err := b.fold.keeper.get(ctx, key)
		if err == nil {
			return key == recording.OpenKey(b.rec.id), nil
		}
		if !errors.Is(err, blob.ErrNotExist) {
			return false, err
		}
	}
	return time.Since(*b.rec.stopped) < justNow, nil
}

// tell changes the report.
func (b *rebuild) tell(change func(*query.Rebuild)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(&b.report)
}

// so is how far it is.
func (b *rebuild) so() query.Rebuild {
	b.mu.Lock()
	defer b.mu.Unlock()
	report := b.report
	report.Objects, report.Notes = slices.Clone(report.Objects), slices.Clone(report.Notes)
	return report
}

func (b *rebuild) note(format string, args ...any) {
	b.tell(func(r *query.Rebuild) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) })
}

// found counts an object that is not stored as it should be.
func (b *rebuild) found(o query.RebuiltObject) {
	b.tell(func(r *query.Rebuild) {
		switch o.State {
		case query.ObjectMissing:
			r.Missing++
		case query.ObjectDamaged:
			r.Damaged++
		default:
			r.Lost++
		}
		if o.PutBack {
			r.PutBack++
		}
		if len(r.Objects) < query.MaxRebuilt {
			r.Objects = append(r.Objects, o)
		}
	})
	b.fold.r.logger.Warn("an object of a recording is not as the log says", "recording", b.rec.id, "object", o.Object, "state", o.State, "put_back", o.PutBack, "why", o.Why)
}
