package recorder

import (
	"context"
	"fmt"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// sortedAgain is how many packs are read again before what they complete is stored and what is too much is put aside.
const sortedAgain = 64

// readAgain reads the packs of one track once more: after a restart those of its open segments, and all of them when a recording starts
// after the fact. It holds no more of them than the fold does while they come. ctx ends the reading; what is complete is stored under work.
func (f *fold) readAgain(ctx, work context.Context, fo *follow, after, through uint64) error {
	return f.readPacks(ctx, fo, after, through, func(read uint64) error {
		for _, s := range fo.closable(0) { // by no gap: of those that say up to where they hold, more may be under way in this reading
			if err := f.keep(work, fo, s); err != nil {
				return err
			}
		}
		fo.putAside(maxOpen, read)
		return nil
	})
}

// readBack reads what was put aside and is taken back: no more than that is held.
func (f *fold) readBack(ctx context.Context, fo *follow, after, through uint64) error {
	return f.readPacks(ctx, fo, after, through, func(uint64) error { return nil })
}

// readPacks folds a track's packs once more, and calls each from time to time with the position up to which it has.
func (f *fold) readPacks(ctx context.Context, fo *follow, after, through uint64, each func(read uint64) error) error {
	for wait := newBackoff(f.r.cfg.Retry); ; {
		reading, stop := context.WithCancel(ctx)
		var failed error
		packs := 0
		err := f.readTrack(reading, fo.room, fo.info.Track, after, through, func(m message) {
			if failed != nil {
				return
			}
			f.packets(&m, []*follow{fo})
			if packs++; packs%sortedAgain == 0 || f.unsorted >= sortedSeqs {
				f.unsorted = 0
				if failed = each(m.pos); failed != nil {
					stop()
				}
			}
		})
		stop()
		if failed != nil {
			return failed
		}
		if err == nil {
			return nil
		}
		f.r.metrics.retries.Add(1)
		f.r.logger.Warn("reading a track again stumbled", "room", fo.room, "track", fo.info.Track, "error", err)
		if wait.pause(ctx) != nil {
			return fmt.Errorf("read track %s again: %w", fo.info.Track, err)
		}
	}
}

// readTrack reads a track's packs from the log: those behind a position, up to another.
func (f *fold) readTrack(ctx context.Context, room, track string, after, through uint64, each func(message)) error {
	found, err := bus.ReadSubject(ctx, f.packs.js, f.packs.stream, subject.Log(f.r.cfg.Region, room, track), after, through, func(m bus.Stored) {
		each(message{pos: m.Position, at: m.At, subject: m.Subject, header: m.Header, data: m.Data})
	})
	if found > 0 {
		f.r.metrics.recovered.Add(int64(found))
		f.r.logger.Warn("packs that one replica lacks were read from another one: that server's disk is damaged", "room", room, "track", track, "found", found)
	}
	return err
}
