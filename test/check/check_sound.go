package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"airloom/internal/frame"
	"airloom/internal/participant"
	"airloom/internal/recording"
)

// tracks are all that was said, by track.
func (r *run) tracks() map[string]*said {
	all := map[string]*said{}
	for _, s := range r.speakers {
		s.mu.Lock()
		for _, one := range s.tracks {
			all[one.track] = one
		}
		s.mu.Unlock()
	}
	return all
}

// checkHealed expects that every track that was not over before the faults were is acked to its end.
func (r *run) checkHealed(p *promise) {
	whole := 0
	for _, id := range slices.Sorted(maps.Keys(r.tracks())) {
		one := r.tracks()[id]
		if one.ended || one.overAt().Before(r.calmAt) || one.lostSession() && one.began.Before(r.calmAt) {
			whole++
			continue
		}
		p.breaks("track %s of %s: %d of %d seqs are acked %v after the faults: %v", id, one.speaker, one.acked()+1, one.seqs, time.Since(r.calmAt).Round(time.Second), one.err)
	}
	p.saw("%d tracks, no speaker still waits", whole)
}

// checkAcked looks in every recorder's segments for all that a speaker saw acked.
func (r *run) checkAcked(histories map[string]*history, log audioLog, archives []*archive, p *promise) {
	var frames, tracks, sent int64
	all := r.tracks()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		one := all[id]
		acked := one.acked()
		tracks, frames, sent = tracks+1, frames+acked+1, sent+one.seqs
		for seq := range acked + 1 {
			if len(log[place{id, 0, uint32(seq)}]) == 0 {
				p.breaks("seq %d of track %s of %s was acked (up to %d) and is not in the log", seq, id, one.speaker, acked)
				break
			}
		}
		for _, a := range archives {
			one.compare(a.recorder, a.holding(id), histories[one.room].clips, log, p)
		}
	}
	p.saw("%d seqs said on %d tracks, %d acked, all of them in the log, and in both recorders where they recorded", sent, tracks, frames)
}

// wrong gathers seqs that break a promise in the same way, so that they are told as ranges.
type wrong struct {
	what []string
	seqs map[string]*frame.Ranges
}

func (w *wrong) add(what string, seq uint32) {
	if w.seqs == nil {
		w.seqs = map[string]*frame.Ranges{}
	}
	if w.seqs[what] == nil {
		w.seqs[what] = new(frame.Ranges)
		w.what = append(w.what, what)
	}
	w.seqs[what].Add(seq, seq)
}

func (w *wrong) tell(where string, p *promise) {
	for _, what := range w.what {
		for r := range w.seqs[what].All() {
			p.breaks("%s: seqs %d to %d %s", where, r.From, r.To, what)
		}
	}
}

// lostSession says that the track was over before its speaker had all acks: its session was away for longer than 30 s, or frames were lost with the edge
// that ended it, and the speaker was told how many. A fault may bring about both.
func (s *said) lostSession() bool {
	return errors.Is(s.err, participant.ErrSessionLost) || errors.Is(s.err, participant.ErrTrackOver) || s.notKept() != nil
}

// notKept is what the edge said of a track that is not kept whole, nil where it said nothing.
func (s *said) notKept() *participant.NotKeptError {
	var lost *participant.NotKeptError
	errors.As(s.err, &lost)
	return lost
}

// compare holds a track as recorded against what was said: all that is acked is there, in one recording or another, but for what was said after somebody
// had stopped one; and all that is there was said.
func (s *said) compare(recorder string, parts map[string]map[place]recording.Item, told *clips, log audioLog, p *promise) {
	var w wrong
	missing, stopped, acked := int64(0), false, s.acked()
	for seq := range s.seqs {
		at, there := place{s.track, 0, uint32(seq)}, false
		for id, part := range parts {
			it, recorded := part[at]
			there = there || recorded && it.Kind != recording.Lost
			if one, _ := told.of(id, s.track); recorded && one.from == 0 { // of a clip the log tells, see checkGaps: what is the first copy there may be no true one
				s.true(it, uint32(seq), &w)
			}
		}
		switch {
		case there:
			continue
		case len(log[at]) > 0 && told.lets(s.track, log[at][0].position):
			stopped = true
		case seq <= acked:
			w.add(fmt.Sprintf("were acked (up to %d) and are not recorded", acked), uint32(seq))
		}
		missing++
	}
	for _, part := range parts {
		for at, it := range part {
			if int64(at.seq) >= s.seqs && it.Kind != recording.Lost {
				w.add("are recorded and were never said", at.seq)
			}
		}
	}
	if told := s.notKept(); told != nil && told.Missing != missing && !stopped {
		p.breaks("%s: track %s of %s: its speaker was told that %d seqs are not kept, the recording lacks %d", recorder, s.track, s.speaker, told.Missing, missing)
	}
	w.tell(fmt.Sprintf("%s: track %s of %s", recorder, s.track, s.speaker), p)
}

// true holds one seq as recorded against what was said.
func (s *said) true(it recording.Item, seq uint32, w *wrong) {
	silent := s.silent.Contains(seq)
	switch {
	case it.Kind == recording.Lost:
	case silent && it.Kind != recording.Silent:
		w.add("were said as silence and are recorded as sound", seq)
	case !silent && it.Kind == recording.Silent:
		w.add("were said as sound and are recorded as silence", seq)
	case it.Kind == recording.Present && !bytes.Equal(it.Payload, sound(s.key, seq)):
		w.add("are recorded with other bytes than were said", seq)
	}
}

// checkSame compares the stores file by file and has the binary verify each recording.
func (r *run) checkSame(ctx context.Context, archives []*archive, p *promise) {
	var stored []map[string][]byte
	verified := 0
	for _, a := range archives {
		stored = append(stored, files(a.dir, p))
		for _, id := range slices.Sorted(maps.Keys(a.manifests)) {
			var said bytes.Buffer
			if err := r.cluster.airloom(ctx, &said, "recording", "verify", "--key", r.cluster.recorderKey()+".pub", filepath.Join(a.dir, recording.Root, id)); err != nil {
				p.breaks("%s: airloom recording verify %s: %v: %s", a.recorder, id, err, strings.TrimSpace(said.String()))
			}
			verified++
		}
	}
	size := 0
	names := map[string]bool{}
	for _, one := range stored {
		for name := range one {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		one, hasOne := stored[0][name]
		two, hasTwo := stored[1][name]
		size += len(one)
		if hasOne != hasTwo || !bytes.Equal(one, two) {
			p.breaks("%s: %s has %s, %s has %s", name, archives[0].recorder, had(one, hasOne), archives[1].recorder, had(two, hasTwo))
		}
	}
	p.saw("%d objects, %d bytes each, %d signed recordings verified", len(names), size, verified)
}

func had(data []byte, has bool) string {
	if !has {
		return "nothing"
	}
	return fmt.Sprintf("%d bytes", len(data))
}

// files reads what must be the same in both stores: all but what is rewritten while a recording is open.
func files(dir string, p *promise) map[string][]byte {
	all := map[string][]byte{}
	root := filepath.Join(dir, recording.Root)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "open.json" {
			return err
		}
		data, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, root+"/")] = data
		return err
	})
	if err != nil {
		p.breaks("read %s: %v", dir, err)
	}
	return all
}
