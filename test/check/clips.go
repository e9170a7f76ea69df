package main

import (
	"airloom/internal/room"
)

// clip is what of a track a recording holds: what the audio log has behind from and up to through.
type clip struct{ from, through uint64 }

func (c clip) holds(position uint64) bool { return position > c.from && position <= c.through }

// clips are the recordings that a room's events tell of, folded as docs/events.md says, and not as a recorder does it.
type clips struct {
	recordings []*recorded
	over       map[string]uint64 // track -> position of the event that ended it
	closing    map[string]uint64 // track -> position of the audio log up to which it counts
}

// recorded is one recording: the positions that its events have, and its tracks.
type recorded struct {
	id, by      string
	since, from uint64
	cut         bool            // somebody stopped it, perhaps while tracks went on
	clips       map[string]clip // by track; through 0: as far as the track counts
}

func newClips() *clips { return &clips{over: map[string]uint64{}, closing: map[string]uint64{}} }

// apply takes an event; state is the room before it, and after it once fold was called.
func (c *clips) apply(e *room.Event, state *room.State, fold func(*room.Event)) {
	open := state.Recording
	fold(e)
	switch f := e.Fact.(type) {
	case room.RecordingStarted:
		if open == "" {
			c.start(e.Position, f, state)
		}
	case room.RecordingStopped:
		if rec := c.recording(open); rec != nil && state.Recording != open { // else the fold did not take it
			rec.stop(f.Through, state)
		}
	case room.TrackStarted:
		if rec := c.recording(open); rec != nil {
			rec.clips[f.Track] = clip{}
		}
	case room.TrackClosed:
		if c.closing[f.Track] == 0 {
			c.closing[f.Track] = f.Through
		}
	}
	for id, t := range state.Tracks {
		if t.Ended && c.over[id] == 0 {
			c.over[id] = e.Position
		}
	}
}

// start begins a recording of every track that was open at since or later.
func (c *clips) start(position uint64, f room.RecordingStarted, state *room.State) {
	rec := &recorded{id: f.Recording, by: f.By, since: position, from: f.From, clips: map[string]clip{}}
	if f.Since != 0 {
		rec.since = min(position, f.Since)
	}
	for id, t := range state.Tracks {
		if over := c.over[id]; over != 0 && over <= rec.since {
			continue
		}
		one := clip{}
		if t.Order <= rec.since {
			one.from = rec.from
		}
		rec.clips[id] = one
	}
	c.recordings = append(c.recordings, rec)
}

// stop clips the tracks that go on.
func (rec *recorded) stop(through uint64, state *room.State) {
	rec.cut = through > 0
	for id, one := range rec.clips {
		if t := state.Tracks[id]; t != nil && !t.Ended && through > 0 {
			one.through = through
			rec.clips[id] = one
		}
	}
}

func (c *clips) recording(id string) *recorded {
	for _, rec := range c.recordings {
		if rec.id == id && id != "" {
			return rec
		}
	}
	return nil
}

// of gives what a recording holds of a track; ok is false where it holds none of it, or where it is not known where the track ends.
func (c *clips) of(recording, track string) (one clip, ok bool) {
	rec := c.recording(recording)
	if rec == nil {
		return clip{}, false
	}
	if one, ok = rec.clips[track]; ok && one.through == 0 {
		one.through = c.closing[track]
		ok = one.through > 0
	}
	return one, ok
}

// lets says whether a frame of a track that the log has at a position may be in no recording: all that hold the track end before it, as somebody stopped
// one while the track went on.
func (c *clips) lets(track string, position uint64) bool {
	if closing := c.closing[track]; closing != 0 && position > closing {
		return false // it does not count, so it must not have been acked
	}
	stopped := false
	for _, rec := range c.recordings {
		one, ok := c.of(rec.id, track)
		if ok && one.holds(position) {
			return false
		}
		stopped = stopped || rec.clips[track].through != 0 && position > rec.clips[track].through
	}
	return stopped
}
