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

// knownRoom is what the recorder knows of a room: the fold of its events, and what it asked for. It does no I/O; the fold
// goroutine owns it.
type knownRoom struct {
	name       string
	state      *room.State
	tracks     map[string]*knownTrack
	set        bool              // somebody has set it: its settings are not this recorder's defaults
	live       []string          // tracks that are not over
	recordings []*knownRecording // its recordings, in order

	due       []cause   // of recordings that keep: record wants or wanted and that have not started, in order; at most the last one goes on
	firstLeft *left     // where its keep was first record no longer, or set to something else; nil: nowhere
	asked     time.Time // when a recording event was appended, or refused because of a newer one, that is not folded yet

	enough    int    // forget does nothing while no more tracks and recordings are known
	forgotten uint64 // up to this position tracks ended that are forgotten
}

// knownTrack is a track as the events tell of it.
type knownTrack struct {
	info     recording.Track
	handle   uint32
	position uint64 // of track.started
	logRead  uint64 // how far the audio log had been read then: all its packs lie behind; 0: not known
	over     uint64 // position of the event that ended it; 0: it goes on
	endKnown bool
	endEpoch uint8
	last     int64

	firstEpoch uint8
	closed     bool        // the closing fact is there: nothing changes any more
	facts      []room.Fact // its gaps and its closing, in order
}

// knownRecording is a recording as the events tell of it.
type knownRecording struct {
	id      string
	by      string
	keep    room.Keep
	unset   bool // nobody had set the room: keep does not follow from its events alone
	started time.Time
	stopped *time.Time
	members []string // tracks, in the order of their starting

	left     bool           // of a keep: record that holds no longer: whatever it is set to since, this recording is stopped
	since    uint64         // tracks that began later are held from their beginnings
	from     uint64         // of the others only what the audio log has behind this position
	stopping bool           // nothing closes until it is known where it ends
	halted   time.Time      // when this recorder heard of it
	through  uint64         // of tracks that went on when it was stopped only what the log has up to here
	cut      map[string]int // these tracks, and how many of their facts were there by then; nil: it is not known, or they count to their ends

	done     map[string]recording.Track // members that are stored whole
	finished bool                       // its manifest is closed
	open     []byte                     // its open manifest as it was stored
}

func newKnownRoom(state *room.State) *knownRoom {
	state.KeepOver = true // it is told what to forget: closing a track may take long
	return &knownRoom{name: state.Room, state: state, tracks: map[string]*knownTrack{}}
}

// apply folds an event; logRead is how far the audio log has been read.
func (rm *knownRoom) apply(e *room.Event, logRead uint64) {
	before, kept, set := rm.state.Recording, rm.state.Settings.Keep, rm.set
	rm.state.Apply(e)
	switch fact := e.Fact.(type) {
	case room.Created, room.Changed, room.Opened:
		rm.set = true
	case room.TrackStarted:
		rm.trackStarted(e, fact, logRead)
	case room.TrackEnded:
		if s := rm.tracks[fact.Track]; s != nil && !s.closed {
			s.endKnown, s.endEpoch, s.last = true, fact.Epoch, fact.Last
		}
	case room.GapDeclared:
		if s := rm.tracks[fact.Track]; s != nil {
			s.facts = append(s.facts, fact)
		}
	case room.TrackClosed:
		if s := rm.tracks[fact.Track]; s != nil {
			s.closed, s.facts = true, append(s.facts, fact)
		}
	case room.RecordingStarted:
		rm.asked = time.Time{}
		if before == "" {
			rm.recordingStarted(e, fact)
		}
	case room.RecordingStopped:
		rm.asked = time.Time{}
		if rec := rm.recording(before); rec != nil && rm.state.Recording == "" { // else a track has begun that whoever found it idle had not folded
			rm.stopped(rec, e, fact)
		}
	case room.RecordingStopping:
		rm.asked = time.Time{}
		if rec := rm.recording(fact.Recording); rec != nil && rm.state.Stopping {
			rec.stopping, rec.halted = true, time.Now()
		}
	}
	rm.noteEnds(e)
	rm.noteKeep(e, kept, set)
}

func (rm *knownRoom) trackStarted(e *room.Event, fact room.TrackStarted, logRead uint64) {
	s := &knownTrack{handle: fact.Handle, position: e.Position, logRead: logRead, last: -1, firstEpoch: fact.Epoch, info: recording.Track{
		Track: fact.Track, Session: fact.Session, Name: fact.Name, Label: fact.Label, Channels: fact.Channels,
		FrameMS: fact.FrameMS, Started: e.At.UTC(), Clock: fact.Clock, State: recording.Open,
	}}
	if session := rm.state.Sessions[fact.Session]; session != nil {
		s.info.Identity, s.info.Participant = session.Identity, session.Name
	}
	rm.tracks[fact.Track] = s
	rm.live = append(rm.live, fact.Track)
	if rec := rm.recording(rm.state.Recording); rec != nil && !rec.left {
		rec.members = append(rec.members, fact.Track)
	}
	rm.noteStart(e, fact.Track)
}

// recordingStarted begins a recording of every track that was open at its beginning or later.
func (rm *knownRoom) recordingStarted(e *room.Event, fact room.RecordingStarted) {
	rec := &knownRecording{
		id: fact.Recording, by: fact.By, keep: rm.keep(fact.By), unset: !rm.set, from: fact.From, started: e.At.UTC(), done: map[string]recording.Track{},
	}
	since := e.Position
	if fact.Since != 0 {
		since = min(since, fact.Since)
	}
	rec.since = since
	ended := rm.take(rec)
	for id, s := range rm.tracks {
		if (s.over == 0 || s.over > since) && (ended == nil || s.position < ended.position) {
			rec.members = append(rec.members, id)
		}
	}
	slices.SortFunc(rec.members, func(a, b string) int { return cmp.Compare(rm.tracks[a].position, rm.tracks[b].position) })
	rm.recordings = append(rm.recordings, rec)
	rec.left = rec.by == room.ByKeep && (ended != nil || rm.set && rm.state.Settings.Keep != room.KeepRecord)
	if ended != nil && ended.known { // nobody can have closed anything of it yet
		rec.through, rec.cut = ended.through, map[string]int{}
		for _, id := range rec.members {
			if facts, cut := ended.cut[id]; cut {
				rec.cut[id] = facts
			}
		}
	}
}

// stopped ends a recording of the tracks that go on, unless it is known already where it ended.
func (rm *knownRoom) stopped(rec *knownRecording, e *room.Event, fact room.RecordingStopped) {
	at := e.At.UTC()
	rec.stopped = &at
	if rec.cut != nil || fact.Through == 0 && !rec.stopping {
		return
	}
	rec.through, rec.cut = fact.Through, map[string]int{}
	for _, id := range rec.members {
		if s := rm.tracks[id]; s != nil && s.over == 0 {
			rec.cut[id] = len(s.facts)
		}
	}
}

// held says that it is known to end, and not yet where.
func (rec *knownRecording) held() bool { return rec.stopping && rec.stopped == nil }

// known says whether all that counts of a member is known.
func (rec *knownRecording) known(s *knownTrack) bool {
	_, cut := rec.cut[s.info.Track]
	return cut || s.closed
}

// clips says whether it holds but a part of a track.
func (rec *knownRecording) clips(s *knownTrack) bool {
	_, cut := rec.cut[s.info.Track]
	return cut || rec.clipFrom(s) > 0
}

// clipFrom is the position of the audio log behind which a track is held; 0: from its beginning.
func (rec *knownRecording) clipFrom(s *knownTrack) uint64 {
	if s.position > rec.since {
		return 0
	}
	return rec.from
}

// keep is the room's setting for the manifest of a recording. Of a room that nobody has set, every recorder must say the same, whatever its own defaults
// are: what the recording itself follows from, or else the default of services.
func (rm *knownRoom) keep(by string) room.Keep {
	switch {
	case rm.set:
		return rm.state.Settings.Keep
	case by == room.ByKeep:
		return room.KeepRecord
	}
	return room.KeepRewind
}

func (rm *knownRoom) noteEnds(e *room.Event) {
	rm.live = slices.DeleteFunc(rm.live, func(id string) bool {
		s := rm.tracks[id]
		if track := rm.state.Tracks[id]; !track.Ended {
			return false
		}
		s.over = e.Position
		return true
	})
}

// wish is the recording event that must follow from what is folded; ok is false where none must.
func (rm *knownRoom) wish(region string) (draft room.Draft, ok bool) {
	if time.Since(rm.asked) < askAgain {
		return room.Draft{}, false
	}
	var err error
	switch rec := rm.recording(rm.state.Recording); {
	case rm.state.Recording == "" && len(rm.due) > 0:
		draft, err = rm.state.StartRecording(rm.due[0].draft(region))
	case rec == nil:
		return room.Draft{}, false
	case rm.state.Stopping: // whoever halted it asks where the log is; should that one have died, this recorder does
		if time.Since(rec.halted) < askAgain && !rec.left {
			return room.Draft{}, false
		}
		draft, err = rm.state.StopRecording(rec.id, rec.through)
	case rec.left:
		draft, err = rm.state.HaltRecording(rec.id)
	case rec.by == room.ByKeep && rm.state.OpenTracks() == 0:
		draft, err = rm.state.EndRecording(rec.id)
	default:
		return room.Draft{}, false
	}
	return draft, err == nil
}

func (rm *knownRoom) recording(id string) *knownRecording {
	for _, rec := range rm.recordings {
		if rec.id == id && id != "" {
			return rec
		}
	}
	return nil
}

// idle says that nothing of the room needs to be remembered: it is folded anew when something happens there.
func (rm *knownRoom) idle() bool {
	if !rm.asked.IsZero() || rm.state.Recording != "" || len(rm.live) > 0 || len(rm.due) > 0 || len(rm.state.Sessions) > 0 {
		return false
	}
	return !slices.ContainsFunc(rm.recordings, func(rec *knownRecording) bool { return !rec.finished })
}
