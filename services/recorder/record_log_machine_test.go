package recorder

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/sim"
)

var simTrack = frame.TrackID(7)

// simLog is both streams of a region with one track, the blob store, and what edges have acked.
type simLog struct {
	*sim.World
	bug    string
	packs  []*frame.Packet // the pack at position p is packs[p-1]
	events []*room.Event
	state  *room.State
	store  map[string][]byte
	point  *simPoint // the checkpoint
	acked  map[place]bool
	ended  time.Duration // when the track was over; 0: it is not
	last   int64         // seq the speaker said last, where it said
	all    []*simRecorder
}

// place is one frame of the track.
type place struct {
	epoch uint8
	seq   uint32
}

// simPoint is a checkpoint, and what else a recorder that begins knows of the log.
type simPoint struct {
	folded int
	read   uint64
	track  *trackPoint
	clips  map[string]*trackPoint
}

// log stores a pack. While its edge has a lease, it acks.
func (w *simLog) log(p *frame.Packet) {
	w.packs = append(w.packs, p)
	if w.ended == 0 || w.Now()-w.ended < 4*time.Second {
		for seq := uint64(p.Seq); seq <= uint64(p.Last()); seq++ {
			w.acked[place{p.Epoch, uint32(seq)}] = true
		}
	}
}

func (w *simLog) through() uint64 { return uint64(len(w.packs)) }

// append stores an event if its subject has not moved on.
func (w *simLog) append(draft room.Draft) (position uint64, ok bool) {
	if kind, id := draft.Fact.Subject(); w.state.LastOn(kind, id) != draft.Expect {
		return 0, false
	}
	e := &room.Event{Room: "hall", At: time.Now(), Fact: draft.Fact, Position: uint64(len(w.events) + 1)}
	w.Note("event %d: %s %+v (log at %d)", e.Position, draft.Fact.Type(), draft.Fact, len(w.packs))
	w.events = append(w.events, e)
	w.state.Apply(e)
	return e.Position, true
}

// must is append of what nobody else appends.
func (w *simLog) must(draft room.Draft, err error) {
	if _, ok := w.append(draft); err != nil || !ok {
		w.Fail("the story is wrong: %v", err)
	}
}

// put stores an object unless it is there; other bytes are a divergence.
func (w *simLog) put(key string, data []byte) {
	if there, ok := w.store[key]; ok && !bytes.Equal(there, data) {
		w.Fail("divergence: two recorders wrote %s with %d and %d bytes", key, len(there), len(data))
	}
	w.store[key] = data
}

// speak foresees a track: frames in packs that come late, twice or not at all, gaps that are declared, and its end.
func (w *simLog) speak(t *trackStory) {
	w.must(w.state.Join(room.Joined{Session: "s", Identity: "i", Edge: "e", Grants: room.Grants{Speak: true}}))
	w.must(w.state.StartTrack(room.TrackStarted{Track: simTrack, Handle: 7, Session: "s", Name: "mic", Channels: 1, FrameMS: 20}))
	w.After(w.Upto(10*time.Second), func() { w.recordOn(1) })
	seq, epoch := uint32(0), uint8(0)
	span := w.Between(5*time.Second, 60*time.Second)
	w.Every(200*time.Millisecond, func() bool {
		if w.Now() > span {
			w.After(w.Upto(2*time.Second), func() { w.over(epoch, int64(seq)-1) })
			return false
		}
		if w.Chance(0.003) {
			seq, epoch = 0, epoch+1
		}
		n := 1 + w.IntN(10)
		switch {
		case w.Chance(0.03): // lost
		case w.Chance(0.02): // far ahead: the track may end, or be cut, within it
			w.declare(epoch, seq, 1+w.IntN(700))
			n = 0
		case w.Chance(0.05):
			n = 1 + w.IntN(400)
			w.send(t.silence(epoch, seq, uint16(n)))
		case w.Chance(0.05):
			if w.declare(epoch, seq, n); w.Chance(0.5) { // and it comes all the same
				w.send(t.audio(epoch, seq, n))
			}
		default:
			w.send(t.audio(epoch, seq, n))
		}
		seq += uint32(n)
		return true
	})
}

// byHand are the settings of a room in which recordings are a moderator's alone: with keep: record each would hold what is due.
var byHand = room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}

// recordOn is a moderator's wish, by an edge that may freeze between asking the log and appending.
func (w *simLog) recordOn(n int) {
	from := w.through()
	w.After(w.Upto(w.Upto(3*time.Second)), func() {
		draft, err := w.state.StartRecording(room.RecordingStarted{Recording: fmt.Sprintf("r%d", n), By: "mod", From: from})
		if err != nil {
			w.Fail("%v", err)
		}
		w.must(draft, nil)
		w.After(w.Upto(40*time.Second), func() { w.recordOff(n) })
	})
}

func (w *simLog) recordOff(n int) {
	w.must(w.state.HaltRecording(w.state.Recording))
	w.After(w.Upto(w.Upto(5*time.Second)), func() {
		through := max(w.through(), 1)
		w.After(w.Upto(w.Upto(5*time.Second)), func() {
			w.must(w.state.StopRecording(w.state.Recording, through))
			if w.Chance(0.7) {
				w.After(w.Upto(5*time.Second), func() { w.recordOn(n + 1) })
			}
		})
	})
}

// send brings a pack into the log, mostly soon.
func (w *simLog) send(p *frame.Packet) {
	for range 1 + w.IntN(8)/7 {
		d := w.Upto(50 * time.Millisecond)
		if w.Chance(0.08) {
			d = w.Upto(15 * time.Second) // an edge froze, or a speaker has sent it again
		}
		w.After(d, func() { w.log(p) })
	}
}

func (w *simLog) declare(epoch uint8, seq uint32, n int) {
	g := room.GapDeclared{Track: simTrack, Epoch: epoch, From: seq, To: seq + uint32(n) - 1, Reason: room.PublisherDropped}
	if w.Chance(0.5) {
		g.Through = max(w.through(), 1)
	}
	if draft, err := w.state.DeclareGap(g); err == nil {
		w.append(draft)
	}
}

// over ends the track: its speaker says so, or its session has left.
func (w *simLog) over(epoch uint8, last int64) {
	if w.Chance(0.5) {
		w.last = last + int64(w.IntN(20))
		w.must(w.state.EndTrack(room.TrackEnded{Track: simTrack, Epoch: epoch, Last: w.last}))
	} else {
		w.must(w.state.Leave("s", room.Timeout))
	}
	w.ended = w.Now()
	if w.Chance(0.3) { // an edge that was frozen thaws and declares what no longer counts
		w.After(4*time.Second+w.Upto(10*time.Second), func() {
			if draft, err := w.state.DeclareGap(room.GapDeclared{Track: simTrack, Epoch: epoch, To: uint32(max(last, 1)), Reason: room.Rejected}); err == nil {
				w.append(draft)
			}
		})
	}
}

// judge holds what is stored against the log.
func (w *simLog) judge() {
	through, closed := uint64(0), false
	for _, e := range w.events {
		if f, ok := e.Fact.(room.TrackClosed); ok {
			through, closed = f.Through, true
		}
	}
	if !closed {
		w.Fail("the track is never closed")
	}
	for _, r := range w.all {
		if r.done == "" || r.done != w.all[0].done {
			w.Fail("%s says of the track: %s\n%s says: %s", r.name, r.done, w.all[0].name, w.all[0].done)
		}
	}
	w.judgeEnds()
	w.judgeClips(through)
	have := w.stored("")
	want := w.want(0, through, len(w.events))
	w.compare("the track", have, want)
	for at := range w.acked {
		if !want[at] && !w.shut(at) {
			w.Fail("%v is acked, and the recording does not have it", at)
		}
	}
}

// judgeClips holds each recording that somebody started against its positions.
func (w *simLog) judgeClips(closing uint64) {
	rm := newKnownRoom(room.NewState("hall", byHand))
	stops := map[string]int{}
	for i, e := range w.events {
		if f, ok := e.Fact.(room.RecordingStopped); ok {
			stops[f.Recording] = i
		}
		rm.apply(e, 0)
	}
	for _, rec := range rm.recordings {
		if !slices.Contains(rec.members, simTrack) {
			continue
		}
		through, facts := closing, len(w.events)
		if _, cut := rec.cut[simTrack]; cut {
			through, facts = rec.through, stops[rec.id]
		}
		w.compare("recording "+rec.id, w.stored(rec.id), w.want(rec.from, through, facts))
	}
}

func (w *simLog) compare(what string, have, want map[place]bool) {
	for at := range want {
		if !have[at] {
			w.Fail("%s: %v counts, and no segment has it", what, at)
		}
	}
	for at, there := range have {
		if there && !want[at] {
			w.Fail("%s: a segment has %v, which does not count", what, at)
		}
	}
}

// stored is what the segments of a recording have.
func (w *simLog) stored(recordingID string) map[place]bool {
	have := map[place]bool{}
	for _, s := range w.segments(recordingID) {
		for _, it := range s.Items {
			for seq := uint64(it.Seq); seq < uint64(it.Seq)+uint64(it.Span); seq++ {
				have[place{s.Epoch, uint32(seq)}] = it.Kind != recording.Lost
			}
		}
	}
	return have
}

// want is what counts between two positions by the first so many events alone: first copies, but for those that a gap with a position shuts out.
func (w *simLog) want(from, through uint64, facts int) map[place]bool {
	want := map[place]bool{}
	for i, p := range w.packs[:through] {
		if uint64(i) < from {
			continue
		}
		for seq := p.Seq; seq <= p.Last(); seq++ {
			if !w.shutOut(p.Epoch, seq, uint64(i+1), w.events[:facts]) {
				want[place{p.Epoch, seq}] = true
			}
		}
	}
	return want
}

func (w *simLog) shutOut(epoch uint8, seq uint32, at uint64, events []*room.Event) bool {
	for _, e := range events {
		switch g := e.Fact.(type) {
		case room.TrackClosed:
			return false // what is declared from here on only follows from it
		case room.GapDeclared:
			if g.Through > 0 && g.Epoch == epoch && g.From <= seq && seq <= g.To && at > g.Through {
				return true
			}
		}
	}
	return false
}

// shut says whether a gap with a position has shut a frame out. One that is but a reason has not: what is acked is kept, whoever has given it up.
func (w *simLog) shut(at place) bool {
	for _, e := range w.events {
		switch g := e.Fact.(type) {
		case room.TrackClosed:
			return false
		case room.GapDeclared:
			if g.Through > 0 && g.Epoch == at.epoch && g.From <= at.seq && at.seq <= g.To {
				return true
			}
		}
	}
	return false
}
