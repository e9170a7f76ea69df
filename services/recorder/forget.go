package recorder

import (
	"context"
	"math"
	"slices"

	"airloom/internal/room"
)

// forget drops what no recording of the room waits for, so that a room that is never idle does not grow: recordings that are
// finished, and tracks that are over and stored, or not recorded. It looks only when twice as much is there as it left.
func (rm *knownRoom) forget() {
	if len(rm.tracks)+len(rm.recordings) <= rm.enough {
		return
	}
	rm.recordings = slices.DeleteFunc(rm.recordings, func(rec *knownRecording) bool { return rec.finished })
	needed := map[string]bool{}
	for _, rec := range rm.recordings {
		for _, track := range rec.members {
			if _, done := rec.done[track]; !done {
				needed[track] = true
			}
		}
	}
	since := uint64(math.MaxUint64) // what was open behind it, the next recording will hold
	if len(rm.due) > 0 {
		since = rm.due[0].position
	}
	for id, s := range rm.tracks {
		if s.over == 0 || needed[id] || s.over > since {
			continue
		}
		rm.forgotten = max(rm.forgotten, s.over)
		rm.state.Forget(id)
		delete(rm.tracks, id)
	}
	rm.enough = 2*(len(rm.tracks)+len(rm.recordings)) + 64
}

// lacks says whether a fact asks for tracks that are forgotten: a recording that reaches back further than this recorder would have
// made it. Every recorder must find the same tracks, so the room is folded anew.
func (rm *knownRoom) lacks(fact room.Fact) bool {
	started, ok := fact.(room.RecordingStarted)
	return ok && started.Since != 0 && started.Since < rm.forgotten
}

// foldAnew loads a room as it was before a position; what the recorder has made of it stays.
func (f *fold) foldAnew(ctx context.Context, old *knownRoom, before uint64) (*knownRoom, error) {
	rm, err := f.load(ctx, old.name, before)
	if err != nil {
		return nil, err
	}
	for i, rec := range rm.recordings {
		if was := old.recording(rec.id); was != nil {
			rm.recordings[i] = was
		}
	}
	for id, s := range old.tracks {
		rm.tracks[id] = s
	}
	rm.asked, rm.due, rm.firstLeft = old.asked, old.due, old.firstLeft
	f.rooms[rm.name] = rm
	return rm, nil
}
