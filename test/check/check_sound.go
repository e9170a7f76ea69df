package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"airloom/internal/frame"
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

// checkAcked looks in every recorder's segments for all that a speaker saw acked.
func (r *run) checkAcked(archives []*archive, p *promise) {
	var frames, tracks, sent int64
	all := r.tracks()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		one := all[id]
		acked := one.acked()
		tracks, frames, sent = tracks+1, frames+acked+1, sent+one.seqs
		if one.err != nil {
			p.numbers = "" // told by note; whoever lost a session begins anew
		}
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

// compare holds a track as recorded against what was said, up to the last acked seq, and whatever else was recorded against it too.
func (s *said) compare(recorder string, part map[place]recording.Item, acked int64, p *promise) {
	var missing frame.Ranges
	for seq := int64(0); seq < s.seqs; seq++ {
		it, there := part[place{s.track, 0, uint32(seq)}]
		silent := s.silent.Contains(uint32(seq))
		switch {
		case !there || it.Kind == recording.Lost:
			if seq <= acked {
				missing.Add(uint32(seq), uint32(seq))
			}
		case it.Kind == recording.Silent != silent:
			p.breaks("%s: seq %d of track %s of %s was said as silence: %v, and is recorded as silence: %v", recorder, seq, s.track, s.speaker, silent, !silent)
		case it.Kind == recording.Present && !bytes.Equal(it.Payload, sound(s.key, uint32(seq))):
			p.breaks("%s: seq %d of track %s of %s is recorded with other bytes than were said", recorder, seq, s.track, s.speaker)
		}
	}
	for gap := range missing.All() {
		p.breaks("%s: seqs %d to %d of track %s of %s were acked (up to %d) and are not recorded", recorder, gap.From, gap.To, s.track, s.speaker, acked)
	}
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
			case there == gap.Contains(at.seq):
				p.breaks("%s: seq %d of track %s: in the log %v (at %d, closed at %d), in a gap %v", where, seq, t.Track, there, logged.position, through, !there)
			case there && (logged.payload == nil) != silent.Contains(at.seq):
				p.breaks("%s: seq %d of track %s: silence in the log %v, silence in the manifest %v", where, seq, t.Track, logged.payload == nil, logged.payload != nil)
			case there && (!recorded || it.Kind == recording.Lost):
				p.breaks("%s: seq %d of track %s is in the log at %d, before the closing at %d, and not in a segment", where, seq, t.Track, logged.position, through)
			}
		}
	}
	for at, logged := range first {
		if at.track != t.Track || logged.position > through {
			continue
		}
		if last, ok := end[at.epoch]; !ok || at.seq > last {
			p.breaks("%s: track %s ends before seq %d of epoch %d, which the log has at %d", where, t.Track, at.seq, at.epoch, logged.position)
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
			if err := r.cluster.airloom(ctx, &said, "recording", "verify", filepath.Join(a.dir, recording.Root, id)); err != nil {
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
	p.saw("%d objects, %d bytes each, %d recordings verified", len(names), size, verified)
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
