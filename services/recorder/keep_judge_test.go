package recorder

import (
	"fmt"
	"math"
	"slices"

	"airloom/internal/room"
)

const never = uint64(math.MaxUint64)

// span is a time in which keep is record, by positions of events and of the audio log.
type span struct {
	begins, ends uint64
	from, until  uint64 // what is logged in [from, until) of tracks that were open when it began, or ended
}

// spans are those of all events, by nothing but the changes of settings.
func (w *keepLog) spans() (out []span) {
	out = []span{{ends: never, until: never}} // by default
	keep := room.KeepRecord
	for _, e := range w.events {
		var now room.Keep
		switch f := e.Fact.(type) {
		case room.Created:
			now = f.Keep
		case room.Changed:
			now = f.Keep
		default:
			continue
		}
		log := w.headAt(e)
		switch {
		case keep != room.KeepRecord && now == room.KeepRecord:
			out = append(out, span{begins: e.Position, from: log, ends: never, until: never})
		case keep == room.KeepRecord && now != room.KeepRecord:
			out[len(out)-1].ends, out[len(out)-1].until = e.Position, log
		}
		keep = now
	}
	return out
}

// headAt is the position that came next in the audio log by a change of settings: as it says, or else when it was appended.
func (w *keepLog) headAt(e *room.Event) uint64 {
	if next := room.LogOf(e.Fact); next > 0 {
		return next
	}
	for i, p := range w.packs {
		if p.events >= e.Position {
			return uint64(i + 1)
		}
	}
	return w.head() + 1
}

// life is when a track was open, by positions of events.
type life struct{ started, over uint64 }

func (w *keepLog) lives() map[string]*life {
	out := map[string]*life{}
	for _, e := range w.events {
		switch f := e.Fact.(type) {
		case room.TrackStarted:
			out[f.Track] = &life{e.Position, never}
		case room.TrackEnded:
			out[f.Track].over = e.Position
		}
	}
	return out
}

// judge holds what the recordings have, as every recorder folds them, against what was promised.
func (w *keepLog) judge() {
	rm := newKnownRoom(room.NewState("hall", defaults))
	starts, stops := map[string]uint64{}, map[string]uint64{}
	for _, e := range w.events {
		before := rm.state.Recording
		if rm.apply(e, 0); rm.state.Recording == before {
			if rec := rm.recording(before); rec != nil && rec.left {
				delete(w.byHand, e.Position) // it was to be stopped in any case, and what is due goes on
			}
			continue
		}
		if before == "" {
			starts[rm.state.Recording] = e.Position
		} else {
			stops[before] = e.Position
		}
	}
	want := (&keepRecorder{w: w, room: rm}).holds()
	for i, r := range w.all {
		if !slices.Equal(r.holds(), want) {
			w.Fail("recorder %d with keep %s records %v, and a fold of the same events %v", i, r.defaults.Keep, r.holds(), want)
		}
	}
	spans, lives := w.spans(), w.lives()
	for i, p := range w.packs {
		pos, t := uint64(i+1), lives[p.track]
		kept := false
		for _, rec := range rm.recordings {
			if !w.holds(rm, rec, p.track, pos) {
				continue
			}
			kept = true
			if p.events >= stops[rec.id] {
				w.Fail("%s of %s, logged at %d, is in recording %s, which goes on behind its stop", p.track, rec.id, pos, rec.id)
			}
			if rec.by != room.ByKeep {
				if pos <= w.asked[rec.id] && !w.promised(knownBy(spans, w.decided[rec.id]), lives, p.track, pos, p.events) && !w.unlike {
					w.Fail("%s, logged at %d, is in recording %s, though it is said before it was due", p.track, pos, rec.id)
				}
				continue
			}
			at := slices.IndexFunc(spans, func(s span) bool { return s.ends > rec.since })
			s := spans[at]
			late := starts[rec.id] > s.ends && (t.started > s.ends || t.over > s.ends && pos >= s.until)
			if late || t.started > s.ends || t.started < s.begins && pos < s.from {
				w.Fail("%s, logged at %d, is in recording %s, though it is said behind the change, or before it: %+v", p.track, pos, rec.id, s)
			}
		}
		if !kept && w.promised(spans, lives, p.track, pos, p.events) && !w.crossed(spans, pos) {
			w.Fail("%s, logged at %d while keep was record, is in no recording", p.track, pos)
		}
	}
}

// holds is what each recording has, as a recorder knows it.
func (r *keepRecorder) holds() (out []string) {
	for _, rec := range r.room.recordings {
		out = append(out, fmt.Sprint(rec.id, rec.members, rec.since, rec.from, rec.through, rec.cut))
	}
	return out
}

func (w *keepLog) holds(rm *knownRoom, rec *knownRecording, track string, pos uint64) bool {
	if !slices.Contains(rec.members, track) || pos <= rec.clipFrom(rm.tracks[track]) {
		return false
	}
	_, cut := rec.cut[track]
	return !cut || pos <= rec.through
}

// promised says whether a pack was logged while keep was record and its track open, and no moderator had stopped the recording: until a
// track begins, and then that one is whole and of the others counts what is behind its first pack.
func (w *keepLog) promised(spans []span, lives map[string]*life, track string, pos, events uint64) bool {
	t := lives[track]
	for i, s := range spans {
		if i == 0 && w.unlike { // not every recorder was told
			continue
		}
		if t.started > s.ends || t.over < s.begins || t.started < s.begins && pos < s.from || t.over > s.ends && pos >= s.until {
			continue
		}
		halted := uint64(0)
		for at := range w.byHand {
			if s.begins < at && at <= min(events, s.ends) {
				halted = max(halted, at)
			}
		}
		if halted == 0 || t.started > halted {
			return true
		}
		if w.takenOver(halted, pos) {
			continue
		}
		starts, next := "", s.ends
		for other, l := range lives {
			if l.started > halted && l.started < next {
				starts, next = other, l.started
			}
		}
		if first := w.first(starts); first > 0 && first <= pos {
			return true
		}
	}
	return false
}

// takenOver says whether somebody started a recording behind a stop, of which tracks that had begun before count from there on alone.
func (w *keepLog) takenOver(halted, pos uint64) bool {
	return slices.ContainsFunc(w.events, func(e *room.Event) bool {
		f, ok := e.Fact.(room.RecordingStarted)
		return ok && f.By != room.ByKeep && e.Position > halted && pos <= f.From
	})
}

// crossed says whether a pack was logged while somebody set keep to record and somebody else, who did not know of that yet, started a recording.
func (w *keepLog) crossed(spans []span, pos uint64) bool {
	return slices.ContainsFunc(w.events, func(e *room.Event) bool {
		f, ok := e.Fact.(room.RecordingStarted)
		return ok && w.blind[f.Recording] && pos <= f.From && slices.ContainsFunc(spans, func(s span) bool {
			return e.Position < s.ends && s.from <= pos
		})
	})
}

// knownBy are the spans as somebody knows them who has folded the events up to one: of those that end behind it nobody has asked yet where.
func knownBy(spans []span, event uint64) []span {
	out := slices.Clone(spans)
	for i := range out {
		if out[i].ends > event {
			out[i].until = never
		}
	}
	return out
}
