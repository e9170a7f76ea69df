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
	"airloom/internal/room"
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
func (r *run) checkAcked(archives []*archive, p *promise) {
	var frames, tracks, sent int64
	all := r.tracks()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		one := all[id]
		acked := one.acked()
		tracks, frames, sent = tracks+1, frames+acked+1, sent+one.seqs
		for _, a := range archives {
			parts := a.holding(id)
			if len(parts) == 0 && acked >= 0 {
				p.breaks("%s has nothing of track %s of %s, of which %d seqs were acked", a.recorder, id, one.speaker, acked+1)
			}
			for _, part := range parts {
				one.compare(a.recorder, part, acked, p)
			}
		}
	}
	p.saw("%d seqs said on %d tracks, %d acked, all of them in both recorders", sent, tracks, frames)
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

// compare holds a track as recorded against what was said: all that is acked is there, and all that is there was said.
func (s *said) compare(recorder string, part map[place]recording.Item, acked int64, p *promise) {
	var w wrong
	missing := int64(0)
	for seq := int64(0); seq < s.seqs; seq++ {
		it, there := part[place{s.track, 0, uint32(seq)}]
		silent := s.silent.Contains(uint32(seq))
		switch {
		case !there || it.Kind == recording.Lost:
			missing++
			if seq <= acked {
				w.add(fmt.Sprintf("were acked (up to %d) and are not recorded", acked), uint32(seq))
			}
		case silent && it.Kind != recording.Silent:
			w.add("were said as silence and are recorded as sound", uint32(seq))
		case !silent && it.Kind == recording.Silent:
			w.add("were said as sound and are recorded as silence", uint32(seq))
		case it.Kind == recording.Present && !bytes.Equal(it.Payload, sound(s.key, uint32(seq))):
			w.add("are recorded with other bytes than were said", uint32(seq))
		}
	}
	for at, it := range part {
		if int64(at.seq) >= s.seqs && it.Kind != recording.Lost {
			w.add("are recorded and were never said", at.seq)
		}
	}
	if told := s.notKept(); told != nil && told.Missing != missing {
		p.breaks("%s: track %s of %s: its speaker was told that %d seqs are not kept, the recording lacks %d", recorder, s.track, s.speaker, told.Missing, missing)
	}
	w.tell(fmt.Sprintf("%s: track %s of %s", recorder, s.track, s.speaker), p)
}

// checkGaps holds every manifest against the log: what the log has up to the track's closing is present or silent, all else up to the epoch's
// end is a gap, and nothing is both or neither.
func (r *run) checkGaps(histories map[string]*history, first map[place]copyOf, archives []*archive, p *promise) {
	through := map[string]uint64{}
	for _, h := range histories {
		for _, e := range h.events {
			if f, ok := e.Fact.(room.TrackClosed); ok && through[f.Track] == 0 {
				through[f.Track] = f.Through
			}
		}
	}
	var seqs, missing, tracks int64
	for _, a := range archives {
		for id, m := range a.manifests {
			for i := range m.Tracks {
				t := &m.Tracks[i]
				tracks++
				missing += t.Missing()
				seqs += gapsOf(a.recorder+": "+id, t, through[t.Track], first, a.segments[id+" "+t.Track], p)
			}
		}
	}
	p.saw("%d tracks in %d recorders, %d seqs, %d of them in gaps", tracks, len(archives), seqs, missing)
}

// gapsOf looks at one track of a manifest and gives the number of its seqs.
func gapsOf(where string, t *recording.Track, through uint64, first map[place]copyOf, part map[place]recording.Item, p *promise) (seqs int64) {
	if through == 0 {
		p.breaks("%s has track %s closed, and the log has no closing fact of it", where, t.Track)
	}
	end := map[uint8]uint32{}
	var w wrong
	defer func() { w.tell(fmt.Sprintf("%s: track %s (closed at %d)", where, t.Track, through), p) }()
	for _, e := range t.Epochs {
		end[e.Epoch] = e.Last
		var gap, silent frame.Ranges
		for _, g := range t.Gaps {
			if g.Epoch == e.Epoch {
				gap.Add(g.From, g.To)
			}
		}
		for _, s := range t.Silence {
			if s.Epoch == e.Epoch {
				silent.Add(s.From, s.To)
			}
		}
		for seq := uint64(e.First); seq <= uint64(e.Last); seq++ {
			seqs++
			at := place{t.Track, e.Epoch, uint32(seq)}
			logged, there := first[at]
			there = there && logged.position <= through
			it, recorded := part[at]
			switch {
			case there && gap.Contains(at.seq):
				w.add("are in the log and in a gap", at.seq)
			case !there && !gap.Contains(at.seq):
				w.add("are not in the log and in no gap", at.seq)
			case there && logged.payload == nil && !silent.Contains(at.seq):
				w.add("are silence in the log and not in the manifest", at.seq)
			case there && logged.payload != nil && silent.Contains(at.seq):
				w.add("are silence in the manifest and not in the log", at.seq)
			case there && (!recorded || it.Kind == recording.Lost):
				w.add("are in the log and in no segment", at.seq)
			}
		}
	}
	for at, logged := range first {
		if at.track != t.Track || logged.position > through {
			continue
		}
		if last, ok := end[at.epoch]; !ok || at.seq > last {
			w.add("are in the log behind the track's end in the manifest", at.seq)
		}
	}
	return seqs
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
