package recorder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"airloom/internal/room"
	"airloom/internal/sim"
)

// TestKeepMachine is a room whose keep is set to and fro while tracks begin and end, by edges that freeze and die on the way, and recorders that are
// stale by any number of events or away. Promised: what is logged of an open track while keep is record is in a recording, unless a moderator
// stopped it; what is logged behind the change, or the stop, is in none. Should somebody start a recording by hand while one is due, nothing is lost by that.
func TestKeepMachine(t *testing.T) { sim.Check(t, func(w *sim.World) { runKeep(w, "") }) }

// A machine that finds no bug has not been shown to look.
func TestKeepMachineFindsBugs(t *testing.T) {
	for bug, words := range map[string]string{
		"stops what is not idle": "goes on behind its stop", "no log where keep ends": "behind the change",
		"asks for nothing where keep begins": "is in no recording", "leaves stops to edges": "",
		"starts by hand from now on": "is in no recording", "starts by hand from the beginning": "before it was due",
	} {
		t.Run(bug, func(t *testing.T) { sim.Finds(t, 2000, words, func(w *sim.World) { runKeep(w, bug) }) })
	}
}

// keepLog is both streams of a region with one room.
type keepLog struct {
	*sim.World
	bug    string
	state  *room.State
	events []*room.Event
	packs  []keepPack
	tracks int
	calm   bool            // nobody begins anything any more
	byHand map[uint64]bool // positions of halts that a moderator wanted
	all    []*keepRecorder
	asked  map[string]uint64 // recording that somebody started -> where the audio log was
	unlike bool              // the recorders have not the same defaults

	decided map[string]uint64 // the same -> the events that whoever did so knew
	blind   map[string]bool   // the same: none of these had set keep to record
}

// keepPack is a pack, and how many events the log had when it was logged.
type keepPack struct {
	track  string
	events uint64
}

func runKeep(world *sim.World, bug string) {
	w := &keepLog{World: world, bug: bug, state: room.NewState("hall", defaults), byHand: map[uint64]bool{}, asked: map[string]uint64{}, blind: map[string]bool{}, decided: map[string]uint64{}}
	for i := range 3 {
		w.append(must(w.state.Join(room.Joined{Session: fmt.Sprint("s", i), Identity: fmt.Sprint("i", i), Edge: "e", Grants: room.Grants{Speak: true}})))
		w.After(w.Upto(5*time.Second), func() { w.speak(fmt.Sprint("s", i)) })
	}
	w.Every(4*time.Second, func() bool { w.After(w.Upto(4*time.Second), w.change); return !w.calm })
	if w.Chance(0.3) {
		w.Every(9*time.Second, func() bool { w.off(); return w.Now() < 60*time.Second })
		if w.Chance(0.5) {
			w.Every(3*time.Second, func() bool { w.After(w.Upto(3*time.Second), w.on); return !w.calm })
		}
	}
	for i := range 2 {
		r := &keepRecorder{w: w, defaults: defaults}
		if i > 0 && w.Chance(0.3) { // nobody gave all services the same --keep
			r.defaults.Keep, w.unlike = room.KeepRewind, true
		}
		w.all = append(w.all, r)
		r.begin(0)
		r.waiting = w.Upto(w.Upto(40 * time.Second))
		w.Every(50*time.Millisecond, func() bool { r.step(); return true })
	}
	w.After(30*time.Second, func() { w.calm = true })
	w.Run(2*time.Minute, func() bool { return w.Now() > 100*time.Second && w.idle() })
	if !w.idle() || w.state.OpenTracks() > 0 {
		w.Fail("recording %q is never stopped", w.state.Recording)
	}
	w.judge()
}

// idle says that nothing goes on and all recorders know.
func (w *keepLog) idle() bool {
	return w.state.Recording == "" && !slices.ContainsFunc(w.all, func(r *keepRecorder) bool { return r.folded < len(w.events) })
}

func must(d room.Draft, err error) room.Draft {
	if err != nil {
		panic(err)
	}
	return d
}

func (w *keepLog) head() uint64 { return uint64(len(w.packs)) }

// append stores an event if its subject has not moved on.
func (w *keepLog) append(d room.Draft) bool {
	if kind, id := d.Fact.Subject(); w.state.LastOn(kind, id) != d.Expect {
		return false
	}
	switch f := d.Fact.(type) {
	case room.RecordingStopped:
		f.Idle = f.Idle && w.bug != "stops what is not idle"
		d.Fact = f
	case room.Changed:
		if w.forgetsToAsk(f.Keep) {
			f.Log = 0
		}
		d.Fact = f
	case room.Created:
		if w.forgetsToAsk(f.Keep) {
			f.Log = 0
		}
		d.Fact = f
	}
	e := &room.Event{Room: "hall", At: time.Now(), Fact: d.Fact, Position: uint64(len(w.events) + 1)}
	w.Note("event %d: %s %+v (log at %d)", e.Position, d.Fact.Type(), d.Fact, w.head())
	w.events = append(w.events, e)
	w.state.Apply(e)
	return true
}

func (w *keepLog) forgetsToAsk(keep room.Keep) bool {
	return keep == room.KeepRecord && w.bug == "asks for nothing where keep begins" || keep != room.KeepRecord && w.bug == "no log where keep ends"
}

// insist is an edge that decides until its event is appended; it freezes for a while at most between asking the log and appending. then is called with
// the state it decided on; it dies before that with a probability.
func (w *keepLog) insist(freeze time.Duration, decide func(*room.State, uint64) (room.Draft, error), then func()) {
	d, err := decide(w.state, w.head())
	if err != nil {
		then()
		return
	}
	w.After(w.Upto(w.Upto(freeze)), func() {
		if !w.append(d) {
			w.insist(freeze, decide, then)
		} else if w.Chance(0.8) {
			then()
		}
	})
}

// speak is a session with a track at a time, or two.
func (w *keepLog) speak(session string) {
	if w.calm {
		return
	}
	w.tracks++
	track := fmt.Sprint("t", w.tracks)
	w.append(must(w.state.StartTrack(room.TrackStarted{Track: track, Session: session, Channels: 1, FrameMS: 20})))
	until := w.Now() + w.Upto(12*time.Second)
	w.Every(100*time.Millisecond, func() bool {
		if w.Now() < until {
			w.packs = append(w.packs, keepPack{track, uint64(len(w.events))})
			return true
		}
		w.append(must(w.state.EndTrack(room.TrackEnded{Track: track})))
		w.After(w.Upto(w.Upto(6*time.Second)), func() { w.speak(session) })
		return false
	})
}

// change is door.settle.
func (w *keepLog) change() {
	wanted := room.Settings{Keep: []room.Keep{room.KeepRecord, room.KeepRecord, room.KeepRewind, room.KeepNone}[w.IntN(4)], Speak: room.SpeakGranted}
	w.insist(500*time.Millisecond, func(s *room.State, head uint64) (room.Draft, error) {
		if s.TurnsRecord(wanted) {
			return s.SetAt(wanted, head+1)
		}
		return s.Set(wanted)
	}, func() {
		if left := w.state.LeftRecording(); left != "" && wanted.Keep != room.KeepRecord {
			w.stop(left)
		}
	})
}

func (w *keepLog) stop(id string) {
	w.insist(2*time.Second, func(s *room.State, _ uint64) (room.Draft, error) { return s.HaltRecording(id) }, func() {
		w.insist(2*time.Second, func(s *room.State, head uint64) (room.Draft, error) { return s.StopRecording(id, head) }, func() {})
	})
}

// off is a moderator who wants what is recorded now to be stopped.
func (w *keepLog) off() {
	if d, err := w.state.HaltRecording(w.state.Recording); err == nil && w.append(d) {
		w.byHand[uint64(len(w.events))] = true
		w.stop(w.state.Recording)
	}
}

// on is a moderator who wants what is said from now on to be recorded.
func (w *keepLog) on() {
	id, from := fmt.Sprint("by-hand-", len(w.asked)), w.head()
	w.asked[id] = from
	w.After(w.Upto(w.Upto(time.Second)), func() {
		w.insist(500*time.Millisecond, func(s *room.State, _ uint64) (room.Draft, error) {
			w.blind[id], w.decided[id] = s.Settings.Keep != room.KeepRecord, s.Position
			d, err := s.StartRecording(room.RecordingStarted{Recording: id, By: "mod", From: from})
			if f, ok := d.Fact.(room.RecordingStarted); ok && w.bug == "starts by hand from now on" {
				f.Since, f.From = 0, from
				d.Fact = f
			} else if ok && w.bug == "starts by hand from the beginning" {
				f.Since = 1
				d.Fact = f
			}
			return d, err
		}, func() {})
	})
}

// keepRecorder is a fold of the room alone.
type keepRecorder struct {
	w        *keepLog
	defaults room.Settings
	room     *knownRoom
	folded   int
	waiting  time.Duration // frozen, appending or not started, until then
}

// begin loads the room from its first so many events.
func (r *keepRecorder) begin(events int) {
	for r.room, r.folded = newKnownRoom(room.NewState("hall", r.defaults)), 0; r.folded < events; r.folded++ {
		r.room.apply(r.w.events[r.folded], 0)
	}
	r.room.loaded()
}

func (r *keepRecorder) step() {
	w := r.w
	if w.Now() < r.waiting {
		return
	}
	if !w.calm && w.Chance(0.01) {
		if r.waiting = w.Now() + w.Upto(w.Upto(15*time.Second)); w.Chance(0.5) { // killed
			r.begin(r.folded)
		}
		return
	}
	r.propose()
	for r.folded < len(w.events) && w.Now() >= r.waiting {
		r.room.apply(w.events[r.folded], 0)
		r.folded++
		r.propose()
	}
}

// propose is fold.propose; it may freeze before it appends.
func (r *keepRecorder) propose() {
	w := r.w
	d, ok := r.room.wish("eu")
	if !ok {
		return
	}
	r.place(&d)
	pause := w.Upto(w.Upto(w.Upto(6 * time.Second)))
	r.room.asked, r.waiting = time.Now().Add(pause), w.Now()+pause
	w.After(pause, func() {
		if f, ok := d.Fact.(room.RecordingStopped); ok && w.bug == "leaves stops to edges" && !f.Idle {
			return
		}
		w.append(d)
	})
}

// place is fold.place.
func (r *keepRecorder) place(d *room.Draft) {
	switch f := d.Fact.(type) {
	case room.RecordingStarted:
		if due := r.room.due[0]; due.ask {
			f.From = r.w.head()
			if first := r.w.first(due.track); first > 0 {
				f.From = first - 1
			}
			if due.left != nil && due.left.known {
				f.From = min(f.From, due.left.through)
			}
			d.Fact = f
		}
	case room.RecordingStopped:
		if !f.Idle && r.room.recording(f.Recording).cut == nil {
			f.Through = r.w.head()
			d.Fact = f
		}
	}
}

// first is the position of a track's first pack, 0 for none.
func (w *keepLog) first(track string) uint64 {
	return uint64(slices.IndexFunc(w.packs, func(p keepPack) bool { return p.track == track }) + 1)
}
