package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"airloom/internal/bus"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// The promises, in the order in which they are told.
const (
	promiseAlive   = "no process died by itself, none would not end"
	promiseAcked   = "what was acked is recorded, byte for byte"
	promiseHealed  = "once the faults are over all that is said is acked"
	promiseOrder   = "nothing is heard twice or out of order"
	promiseRewound = "the past is heard in order, once, and whole up to live"
	promiseGaps    = "the gap map is exact"
	promiseRosters = "rosters are true, each who joined left once"
	promiseSame    = "recorders store the same bytes, and verify says so"
	promiseQuiet   = "no panic and no alarm"
)

// heal waits until the cluster is whole again. The faults have been undone one by one.
func (r *run) heal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if dead, _ := r.cluster.fell(); len(dead) > 0 {
		return nil // told by its promise; what is down does not get ready
	}
	admin, err := r.cluster.connect(ctx, bus.Admin, r.cluster.urls())
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := r.cluster.settled(ctx, admin); err != nil {
		return fmt.Errorf("after the faults: %w", err)
	}
	r.note("the log is whole")
	if err := r.cluster.untilReady(ctx); err != nil {
		return fmt.Errorf("after the faults: %w", err)
	}
	r.note("every service is ready")
	return nil
}

// examine waits for quiet, condition by condition, and holds what there is against the promises.
func (r *run) examine(ctx context.Context, found *findings, goHome func() error) error {
	admin, err := r.cluster.connect(ctx, bus.Admin, r.cluster.urls())
	if err != nil {
		return err
	}
	defer admin.Close()
	alive := found.promise(promiseAlive)
	acked := found.promise(promiseAcked)
	healed := found.promise(promiseHealed)
	order := found.promise(promiseOrder)
	rewound := found.promise(promiseRewound)
	gaps := found.promise(promiseGaps)
	rosters := found.promise(promiseRosters)
	same := found.promise(promiseSame)
	quiet := found.promise(promiseQuiet)
	defer r.checkAlive(alive)
	defer r.checkLogs(quiet)
	r.checkOrder(order)
	if _, err := r.untilRecorded(ctx, admin); err != nil {
		acked.breaks("%v", err)
	}
	if err := r.checkRosters(ctx, admin, rosters); err != nil {
		return err
	}
	if err := goHome(); err != nil {
		rosters.breaks("not everybody could leave: %v", err)
	}
	r.note("all have left")
	histories, err := r.untilLeft(ctx, admin, rosters)
	if err != nil {
		return err
	}
	log, packs, err := readLog(ctx, admin)
	if err != nil {
		return err
	}
	var archives []*archive
	for _, s := range r.cluster.recorder {
		archives = append(archives, readArchive(s.name, s.blob, same))
	}
	r.checkAcked(histories, log, archives, acked)
	r.checkHealed(healed)
	r.checkRewinds(log, rewound)
	r.checkGaps(histories, log, archives, gaps)
	gaps.numbers += fmt.Sprintf(", %d packs in the log", packs)
	r.checkModerated(histories, gaps)
	r.checkSame(ctx, archives, same)
	return nil
}

// untilRecorded waits until every recording that the log tells of is closed in both recorders' stores.
func (r *run) untilRecorded(ctx context.Context, admin *bus.Bus) (histories map[string]*history, err error) {
	waiting, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	err = until(waiting, "all recordings are closed", func() error {
		var err error
		if histories, err = r.histories(waiting, admin); err != nil {
			return err
		}
		for _, h := range histories {
			if h.state.OpenTracks() > 0 {
				return fmt.Errorf("room %s has %d open tracks", h.state.Room, h.state.OpenTracks())
			}
			for _, id := range recordingsOf(h) {
				for _, s := range r.cluster.recorder {
					if _, err := os.Stat(filepath.Join(s.blob, recording.ManifestKey(id))); err != nil {
						return fmt.Errorf("%s has not closed recording %s", s.name, id)
					}
				}
			}
		}
		return nil
	})
	if err == nil {
		r.note("all recordings are closed")
	}
	return histories, err
}

func recordingsOf(h *history) (ids []string) {
	for _, e := range h.events {
		if f, ok := e.Fact.(room.RecordingStarted); ok {
			ids = append(ids, f.Recording)
		}
	}
	return ids
}
