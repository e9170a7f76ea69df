package recorder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/sim"
)

// TestRecordMachine is a track whose packs come late, twice or never, and two recorders that read events and packs at paces of their own, freeze,
// are killed at any time and go on from one checkpoint. Promised: both write the same bytes; the recording has what counts by the facts and
// nothing else; what was acked is in it.
func TestRecordMachine(t *testing.T) { sim.Check(t, func(w *sim.World) { runRecording(t, w, "") }) }

// A machine that finds no bug has not been shown to look.
func TestRecordMachineFindsBugs(t *testing.T) {
	for bug, words := range map[string]string{
		"closed by a timer": "", "no grace": "is acked, and", "reads ahead": "", "forgets open segments": "", "closes while halted": "",
		"takes a reason for an end": "is acked, and",
	} {
		t.Run(bug, func(t *testing.T) {
			sim.Finds(t, 1000, words, func(w *sim.World) { runRecording(t, w, bug) })
		})
	}
}

// trackStory makes packets.
type trackStory struct{ t *testing.T }

func (s *trackStory) audio(epoch uint8, seq uint32, n int) *frame.Packet {
	return audio(s.t, epoch, seq, n)
}
func (s *trackStory) silence(epoch uint8, seq uint32, n uint16) *frame.Packet {
	return silence(s.t, epoch, seq, n)
}

func runRecording(t *testing.T, world *sim.World, bug string) {
	w := &simLog{World: world, bug: bug, state: room.NewState("hall", byHand), store: map[string][]byte{}, acked: map[place]bool{}}
	w.speak(&trackStory{t})
	for i := range 2 {
		r := &simRecorder{w: w, name: fmt.Sprintf("recorder%d", i)}
		w.all = append(w.all, r)
		r.begin()
		if i > 0 && w.Chance(0.3) { // it begins long after, and finds the end among the events before it has read the packs
			r.waiting = w.Upto(2 * time.Minute)
		}
		w.Every(100*time.Millisecond, func() bool { r.step(); return true })
	}
	w.Run(5*time.Minute, func() bool { return w.all[0].done != "" && w.all[1].done != "" })
	w.judge()
}

// simRecorder is the real fold of a track, with what the fold goroutine does around it.
type simRecorder struct {
	w       *simLog
	name    string
	follow  *follow
	room    *knownRoom
	state   *room.State // the room's
	clips   []*follow   // of the recordings that somebody starts and stops while the track goes on
	folded  int
	read    uint64
	waiting time.Duration // frozen, or not started, until then
	started map[segmentKey]time.Duration
	done    string
}

type segmentKey struct {
	epoch uint8
	n     uint32
}

// begin is a process that starts: from the checkpoint, where there is one.
func (r *simRecorder) begin() {
	r.folded, r.read, r.done, r.started = 0, 0, "", map[segmentKey]time.Duration{}
	r.room, r.follow, r.clips = newKnownRoom(room.NewState("hall", byHand)), testFollow(), nil
	r.state = r.room.state
	p := r.w.point
	if p == nil {
		return
	}
	var facts []room.Fact
	for r.folded < p.folded {
		e := r.w.events[r.folded]
		r.room.apply(e, 0)
		if kind, _ := e.Fact.Subject(); kind == "gap" {
			facts = append(facts, e.Fact)
		}
		r.folded++
	}
	r.read = p.read
	r.clip(p.clips)
	r.read = 0
	r.over()
	for _, fact := range facts {
		r.follow.fact(fact)
	}
	r.follow.resume(*p.track)
	r.read = p.read
	after := p.track.After
	if r.w.bug == "forgets open segments" {
		after = p.read
	}
	r.again(r.follow, after, p.read)
}

// clip is fold.sync: it follows the track for each recording that holds it, from where a checkpoint says.
func (r *simRecorder) clip(points map[string]*trackPoint) {
	for _, rec := range r.room.recordings {
		s := r.room.tracks[simTrack]
		if !slices.Contains(rec.members, simTrack) {
			continue
		}
		held := rec.held() && r.w.bug != "closes while halted"
		at := slices.IndexFunc(r.clips, func(fo *follow) bool { return fo.recording == rec.id })
		if at < 0 {
			fo, after := rec.follow(r.room, s), uint64(0)
			if s.over != 0 && !fo.cutOff {
				fo.end(s.endKnown, s.endEpoch, s.last)
			}
			if p := points[rec.id]; p != nil {
				fo.resume(*p)
				after = p.After
			}
			at, r.clips = len(r.clips), append(r.clips, fo)
			fo.held = held
			r.again(fo, max(after, fo.from), r.read)
		}
		fo := r.clips[at]
		if fo.held = held; held {
			continue
		}
		if _, cut := rec.cut[simTrack]; cut {
			fo.cut(rec.through)
		} else if s.over != 0 && (fo.closing == nil || !fo.ended) {
			fo.end(s.endKnown, s.endEpoch, s.last)
		}
	}
}

// over tells the follow of the track's end, once.
func (r *simRecorder) over() {
	if t := r.state.Tracks[simTrack]; t != nil && t.Ended && !r.follow.ended {
		r.follow.end(t.EndKnown, t.EndEpoch, t.Last)
		r.follow.noticed = time.Now()
	}
}

// again is fold.readAgain.
func (r *simRecorder) again(fo *follow, after, through uint64) {
	for ; after < through; after++ {
		fo.add(after+1, r.w.packs[after])
		if r.w.Chance(0.1) {
			r.keep(fo, fo.closable(0))
			fo.putAside(1+r.w.IntN(4), after+1)
		}
	}
}

// back is fold.readBack.
func (r *simRecorder) back(fo *follow, after, through uint64) {
	for ; after < through; after++ {
		fo.add(after+1, r.w.packs[after])
	}
}

// step is one of fold.step: packs, then every event there is, then the packs, and what follows.
func (r *simRecorder) step() {
	w := r.w
	switch {
	case r.done != "" || w.Now() < r.waiting:
		return
	case w.Chance(0.004):
		w.Note("%s is killed", r.name)
		r.waiting = w.Now() + w.Upto(10*time.Second)
		w.After(r.waiting-w.Now(), r.begin)
		return
	case w.Chance(0.01):
		r.waiting = w.Now() + w.Upto(w.Upto(10*time.Second))
		return
	}
	to := min(uint64(len(w.packs)), r.read+uint64(w.IntN(40)))
	if w.bug == "reads ahead" {
		r.packs(to)
		if w.Chance(0.5) {
			return
		}
	}
	for r.folded < len(w.events) && (to > r.read || w.Chance(0.8)) {
		r.event(w.events[r.folded])
	}
	r.packs(to)
	r.keep(r.follow, r.follow.closable(r.read))
	r.follow.putAside(1+w.IntN(4), r.read)
	for _, fo := range r.clips {
		r.keep(fo, fo.closable(r.read))
		fo.putAside(1+w.IntN(4), r.read)
		r.settleClip(fo)
	}
	if r.settle(); w.Chance(0.05) {
		point, clips := r.follow.point(trackKey{"hall", simTrack}, r.read), map[string]*trackPoint{}
		for _, fo := range r.clips {
			p := fo.point(trackKey{"hall", simTrack}, r.read)
			clips[fo.recording] = &p
		}
		w.point = &simPoint{r.folded, r.read, &point, clips}
	}
}

// settleClip is fold.settleTrack for a track of which nothing is appended.
func (r *simRecorder) settleClip(fo *follow) {
	if !fo.ended || fo.closing == nil || r.read < fo.closing.through {
		return
	}
	if fo.anewFrom != 0 {
		r.again(fo, fo.anewFrom-1, fo.closing.through)
		fo.anewFrom = 0
	}
	if fo.clipped() {
		fo.excuse()
	} else if len(fo.undeclared(fo.closing.through)) > 0 {
		return // the whole track's follow says so
	}
	r.keep(fo, fo.rest())
	if after, ok := fo.takeBack(maxOpen); ok {
		r.back(fo, after, fo.closing.through)
	}
}

// clipsDone says whether all recordings of the track are over, and what they are.
func (r *simRecorder) clipsDone() (what string, done bool) {
	for _, fo := range r.clips {
		if !fo.ended || fo.closing == nil || r.read < fo.closing.through {
			return "", false
		}
		for _, e := range fo.epochs {
			if len(e.open) > 0 || e.aside.Len() > 0 {
				return "", false
			}
		}
		what += fmt.Sprintf("; %s: %d frames", fo.recording, fo.frames)
		for _, e := range fo.plan().epochs {
			what += fmt.Sprintf(", epoch %d of %d from %d to %d, segments %v", e.id, e.unit, e.first, e.last, slices.Collect(e.done.All()))
		}
	}
	return what, true
}

func (r *simRecorder) event(e *room.Event) {
	r.room.apply(e, r.read)
	r.folded++
	r.over()
	if kind, _ := e.Fact.Subject(); kind == "gap" {
		r.follow.fact(e.Fact)
		for _, fo := range r.clips {
			fo.fact(e.Fact)
		}
	}
	r.clip(nil)
}

func (r *simRecorder) packs(to uint64) {
	for r.read < to {
		r.read++
		r.follow.add(r.read, r.w.packs[r.read-1])
		for _, fo := range r.clips {
			fo.add(r.read, r.w.packs[r.read-1])
		}
	}
	if r.w.bug == "closed by a timer" {
		r.closeByTimer()
	}
}

// keep stores segments, as fold.keep does.
func (r *simRecorder) keep(fo *follow, list []*recording.Segment) {
	for _, s := range list {
		data, err := s.Append(nil)
		if err != nil {
			r.w.Fail("close a segment: %v", err)
		}
		r.w.put(fmt.Sprintf("%s/%d-%d", fo.recording, s.Epoch, s.First/recording.SegmentSeqs), data)
	}
}

func (r *simRecorder) closeByTimer() {
	for id, e := range r.follow.epochs {
		for n := range e.open {
			key := segmentKey{id, n}
			if r.started[key] == 0 {
				r.started[key] = r.w.Now()
			}
			if r.w.Now()-r.started[key] > 12*time.Second {
				r.keep(r.follow, []*recording.Segment{r.follow.close(id, n, recording.SegmentSeqs)})
			}
		}
	}
}

// settle is fold.settleTrack.
func (r *simRecorder) settle() {
	fo, w := r.follow, r.w
	if !fo.ended || r.state.LastOn("gap", simTrack) < fo.asked && time.Since(fo.askedAt) < askAgain {
		return
	}
	if fo.closing == nil {
		r.close()
		return
	}
	if r.read < fo.closing.through {
		return
	}
	if fo.anewFrom != 0 {
		r.again(fo, fo.anewFrom-1, fo.closing.through)
		fo.anewFrom = 0
		return
	}
	if gaps := fo.undeclared(fo.closing.through); len(gaps) > 0 {
		facts := make([]room.Fact, len(gaps))
		for i, g := range gaps {
			facts[i] = g
		}
		r.say(facts)
		return
	}
	r.keep(fo, fo.rest())
	if after, ok := fo.takeBack(maxOpen); ok {
		r.back(fo, after, fo.closing.through)
		return
	}
	clips, done := r.clipsDone()
	if !done {
		return
	}
	r.done = fmt.Sprintf("%d frames, gaps %v", fo.frames, fo.gaps)
	for _, e := range fo.plan().epochs {
		r.done += fmt.Sprintf(", epoch %d of %d to %d, segments %v", e.id, e.unit, e.last, slices.Collect(e.done.All()))
	}
	r.done += clips
	w.Note("%s is done: %s", r.name, r.done)
}

// close is fold.close; it may freeze between asking the log and appending.
func (r *simRecorder) close() {
	fo, w := r.follow, r.w
	if fo.head == 0 {
		fo.head = w.through()
	}
	grace := room.Grace
	if w.bug == "no grace" {
		grace = 0
	}
	through := r.read
	switch {
	case fo.graceIsOver(grace):
		through = max(through, w.through())
	case r.read < fo.head || !fo.whole() && (w.bug != "takes a reason for an end" || !fo.endKnown || len(fo.undeclared(0)) > 0):
		return
	}
	fo.askedAt, fo.asked = time.Now(), uint64(len(w.events)+1)
	draft, err := r.state.CloseTrack(simTrack, through)
	if err != nil {
		return
	}
	w.After(w.Upto(w.Upto(5*time.Second)), func() { w.append(draft) })
}

// say is fold.say.
func (r *simRecorder) say(facts []room.Fact) {
	fo := r.follow
	fo.askedAt = time.Now()
	last := uint64(0)
	for _, fact := range facts {
		draft, err := decide(r.state, fact)
		if err != nil {
			continue
		}
		if last != 0 {
			draft.Expect = last
		}
		position, ok := r.w.append(draft)
		if !ok {
			fo.asked = draft.Expect + 1
			return
		}
		last, fo.asked = position, position
		if r.w.Chance(0.05) {
			return // killed here, or the log is away: the next step goes on
		}
	}
}
