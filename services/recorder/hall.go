package recorder

import (
	"cmp"
	"slices"
	"time"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// askAgain is how long an event that must come is waited for before it is asked for again: on a cluster an append can be
// refused because of another one that then fails.
const askAgain = 2 * time.Second

// byKeep is who starts recordings in rooms with keep: record.
const byKeep = "keep"

// hall is what the recorder knows of a room: the fold of its events, and what it asked for. It does no I/O; the fold
// goroutine owns it.
type hall struct {
	name  string
	state *room.State
	seen  map[string]*seen
	live  []string // tracks that are not over
	takes []*take  // its recordings, in order

	unrecorded []string  // tracks that started while nothing was recorded, though the room is to be recorded
	asked      time.Time // when a recording event was appended, or refused because of a newer one, that is not folded yet
}

// seen is a track as the events tell of it.
type seen struct {
	info     recording.Track
	handle   uint32
	position uint64 // of track.started
	logRead  uint64 // how far the audio log had been read then: all its packs lie behind; 0: not known
	over     uint64 // position of the event that ended it; 0: it goes on
	overAt   time.Time
	endKnown bool
	endEpoch uint8
	last     int64
	closed   bool // the closing fact is there: nothing changes any more
}

// take is a recording as the events tell of it.
type take struct {
	id      string
	by      string
	keep    room.Keep
	started time.Time
	stopped *time.Time
	members []string // tracks, in the order of their starting

	done     map[string]recording.Track // members that are stored whole
	finished bool                       // its manifest is closed
	open     []byte                     // its open manifest as it was stored
}

func newHall(state *room.State) *hall {
	return &hall{name: state.Room, state: state, seen: map[string]*seen{}}
}

// apply folds an event; logRead is how far the audio log has been read.
func (h *hall) apply(e *room.Event, logRead uint64) {
	before := h.state.Recording
	h.state.Apply(e)
	switch fact := e.Fact.(type) {
	case room.TrackStarted:
		h.trackStarted(e, fact, logRead)
	case room.TrackEnded:
		if s := h.seen[fact.Track]; s != nil && !s.closed {
			s.endKnown, s.endEpoch, s.last = true, fact.Epoch, fact.Last
		}
	case room.TrackClosed:
		if s := h.seen[fact.Track]; s != nil {
			s.closed = true
		}
	case room.RecordingStarted:
		h.asked = time.Time{}
		if before == "" {
			h.recordingStarted(e, fact)
		}
	case room.RecordingStopped:
		h.asked = time.Time{}
		if t := h.take(fact.Recording); t != nil && t.stopped == nil {
			at := e.At.UTC()
			t.stopped = &at
		}
	}
	if h.state.Settings.Keep != room.KeepRecord {
		h.unrecorded = nil
	}
	h.noteEnds(e)
}

func (h *hall) trackStarted(e *room.Event, fact room.TrackStarted, logRead uint64) {
	s := &seen{handle: fact.Handle, position: e.Position, logRead: logRead, last: -1, info: recording.Track{
		Track: fact.Track, Session: fact.Session, Name: fact.Name, Label: fact.Label, Channels: fact.Channels,
		FrameMS: fact.FrameMS, Started: e.At.UTC(), Clock: fact.Clock, State: recording.Open,
	}}
	if session := h.state.Sessions[fact.Session]; session != nil {
		s.info.Identity, s.info.Participant = session.Identity, session.Name
	}
	h.seen[fact.Track] = s
	h.live = append(h.live, fact.Track)
	switch t := h.take(h.state.Recording); {
	case t != nil:
		t.members = append(t.members, fact.Track)
	case h.state.Settings.Keep == room.KeepRecord && h.state.Recording == "":
		h.unrecorded = append(h.unrecorded, fact.Track)
	}
}

// recordingStarted begins a recording of every track that was open at its beginning or later.
func (h *hall) recordingStarted(e *room.Event, fact room.RecordingStarted) {
	t := &take{
		id: fact.Recording, by: fact.By, keep: h.state.Settings.Keep, started: e.At.UTC(), done: map[string]recording.Track{},
	}
	since := e.Position
	if fact.Since != 0 {
		since = min(since, fact.Since)
	}
	for id, s := range h.seen {
		if s.over == 0 || s.over > since {
			t.members = append(t.members, id)
		}
	}
	slices.SortFunc(t.members, func(a, b string) int { return cmp.Compare(h.seen[a].position, h.seen[b].position) })
	h.takes = append(h.takes, t)
	h.unrecorded = nil
}

func (h *hall) noteEnds(e *room.Event) {
	h.live = slices.DeleteFunc(h.live, func(id string) bool {
		track, s := h.state.Tracks[id], h.seen[id]
		if !track.Ended {
			return false
		}
		s.over, s.overAt = e.Position, e.At
		return true
	})
}

// wish is the recording event that must follow from what is folded; ok is false where none must.
func (h *hall) wish(region string) (draft room.Draft, ok bool) {
	if time.Since(h.asked) < askAgain {
		return room.Draft{}, false
	}
	var err error
	switch t := h.take(h.state.Recording); {
	case h.state.Recording == "" && len(h.unrecorded) > 0:
		first := h.seen[h.unrecorded[0]]
		draft, err = h.state.Record(true, recording.ID(region, first.info.Started, first.position), byKeep, first.position)
	case t != nil && t.by == byKeep && h.state.OpenTracks() == 0:
		draft, err = h.state.Record(false, "", byKeep, 0)
	default:
		return room.Draft{}, false
	}
	return draft, err == nil
}

func (h *hall) take(id string) *take {
	for _, t := range h.takes {
		if t.id == id && id != "" {
			return t
		}
	}
	return nil
}

// idle says that nothing of the room needs to be remembered: it is folded anew when something happens there.
func (h *hall) idle() bool {
	if !h.asked.IsZero() || h.state.Recording != "" || len(h.live) > 0 || len(h.state.Sessions) > 0 {
		return false
	}
	return !slices.ContainsFunc(h.takes, func(t *take) bool { return !t.finished })
}
