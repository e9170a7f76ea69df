package recorder

import (
	"slices"
	"time"

	"airloom/internal/recording"
	"airloom/internal/room"
)

// A recorder decides on a recording by the events it has folded; what it appends may land behind others. So nothing here depends on where it
// lands: what a recording holds follows from the event that it was due since, and from where keep was record no longer.

// cause is the event that a recording follows from; its id is made of it, so that all recorders choose the same.
type cause struct {
	at       time.Time
	position uint64
	from     uint64 // position of the audio log behind which tracks that were open by then are held
	ask      bool   // that position is not known yet
	track    string // whose beginning it is, while others were open
	left     *left  // where it ended that the recording is due; nil: it goes on
}

// left is where a room's keep was record no longer.
type left struct {
	position uint64
	known    bool           // through is: who changed the settings has asked the audio log, or no track went on
	through  uint64         // of tracks that went on then, only what the audio log has up to here
	cut      map[string]int // these tracks, and how many of their facts were there by then
}

// noteKeep makes a recording due when a room is set to keep: record while tracks are open, and ends what is due, and what is recorded, when it
// is set to something else. Of a room that nobody had set, another recorder's defaults may have had it recorded.
func (rm *knownRoom) noteKeep(e *room.Event, before room.Keep, wasSet bool) {
	switch now := rm.state.Settings.Keep; {
	case now != room.KeepRecord && rm.set && (before == room.KeepRecord || !wasSet):
		rm.keepLeft(e)
	case now == room.KeepRecord && before != now && !rm.recorded() && len(rm.live) > 0:
		c := cause{at: e.At.UTC(), position: e.Position}
		if next := room.LogOf(e.Fact); next > 0 {
			c.from = next - 1
		} else {
			c.ask = true
		}
		rm.due = append(rm.due, c)
	}
}

func (rm *knownRoom) keepLeft(e *room.Event) {
	next := room.LogOf(e.Fact)
	l := &left{position: e.Position, known: next > 0 || len(rm.live) == 0, through: max(next, 1) - 1, cut: map[string]int{}}
	for _, id := range rm.live {
		l.cut[id] = len(rm.tracks[id].facts)
	}
	for i := range rm.due {
		if rm.due[i].left == nil {
			rm.due[i].left = l
		}
	}
	if rm.firstLeft == nil {
		rm.firstLeft = l
	}
	if rec := rm.recording(rm.state.Recording); rec != nil && rec.by == room.ByKeep {
		rec.left = true
	}
}

// recorded says whether a recording goes on that is not to be stopped.
func (rm *knownRoom) recorded() bool {
	if rm.state.Recording == "" || rm.state.Stopping {
		return false
	}
	rec := rm.recording(rm.state.Recording)
	return rec == nil || !rec.left
}

// noteStart makes a recording due when a track starts in a room that is to be recorded, and is not.
func (rm *knownRoom) noteStart(e *room.Event, track string) {
	if rm.state.Settings.Keep != room.KeepRecord || rm.recorded() || slices.ContainsFunc(rm.due, func(c cause) bool { return c.left == nil }) {
		return
	}
	c := cause{at: e.At.UTC(), position: e.Position}
	if len(rm.live) > 1 { // others were not recorded until now: somebody stopped it
		c.ask, c.track = true, track
	}
	rm.due = append(rm.due, c)
}

// take gives where a recording that starts now has ended already, nil where it goes on. What it was due for is due no longer. Until a room's keep
// was first record no longer, what is due in it depends on a recorder's defaults: there the order of events alone says it.
func (rm *knownRoom) take(rec *knownRecording) (ended *left) {
	behind := func(c cause) bool { return c.left == nil || c.left.position > rec.since }
	if l := rm.firstLeft; rec.by != room.ByKeep {
		// Somebody records by hand what would be due from here on.
	} else if l != nil && l.position > rec.since {
		ended = l
	} else if at := slices.IndexFunc(rm.due, behind); at >= 0 {
		ended = rm.due[at].left
	}
	rm.due = slices.DeleteFunc(rm.due, func(c cause) bool { return c.left == ended })
	return ended
}

// loaded forgets what is due in events that were folded before, where nobody had set the room: it was proposed then, and what the defaults of then
// did not want the ones of now do not bring back. What began behind a halt nobody could start yet.
func (rm *knownRoom) loaded() {
	if !rm.set && !rm.state.Stopping {
		rm.due = nil
	}
}

// draft is the start of the recording that is due.
func (c *cause) draft(region string) room.RecordingStarted {
	start := room.RecordingStarted{Recording: recording.ID(region, c.at, c.position), By: room.ByKeep, Since: c.position, From: c.from}
	if c.track != "" { // what began at since or before is held behind from alone
		start.Since--
	}
	return start
}
