package main

import (
	"bytes"
	"fmt"

	"airloom/internal/frame"
	"airloom/internal/recording"
)

// checkGaps holds every manifest against the log: what the log has of a track, behind the recording's beginning and up to its stop or the track's closing,
// is present or silent, all else from the epoch's beginning to its end is a gap, and nothing is both or neither. The tracks are those that the events tell.
func (r *run) checkGaps(histories map[string]*history, log audioLog, archives []*archive, p *promise) {
	var seqs, missing, tracks int64
	for _, a := range archives {
		for id, m := range a.manifests {
			h := histories[m.Room]
			if h == nil || h.clips.recording(id) == nil {
				p.breaks("%s has recording %s of room %s, of which no event tells", a.recorder, id, m.Room)
				continue
			}
			if want := len(h.clips.recording(id).clips); want != len(m.Tracks) {
				p.breaks("%s: %s has %d tracks, by the events it holds %d", a.recorder, id, len(m.Tracks), want)
			}
			for i := range m.Tracks {
				t := &m.Tracks[i]
				tracks++
				missing += t.Missing()
				of, ok := h.clips.of(id, t.Track)
				if !ok {
					p.breaks("%s: %s has track %s closed, and no event tells where it ends in it", a.recorder, id, t.Track)
					continue
				}
				seqs += gapsOf(a.recorder+": "+id, t, of, log, a.segments[id+" "+t.Track], p)
			}
		}
	}
	p.saw("%d tracks in %d recorders, %d seqs, %d of them in gaps", tracks, len(archives), seqs, missing)
}

// gapsOf looks at one track of a manifest and gives the number of its seqs.
func gapsOf(where string, t *recording.Track, of clip, log audioLog, part map[place]recording.Item, p *promise) (seqs int64) {
	epochs := map[uint8]recording.Epoch{}
	var w wrong
	defer func() {
		w.tell(fmt.Sprintf("%s: track %s (what the log has from %d to %d)", where, t.Track, of.from+1, of.through), p)
	}()
	for _, e := range t.Epochs {
		epochs[e.Epoch] = e
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
			logged, there := log.first(at, of)
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
			case there && logged.payload != nil && !bytes.Equal(it.Payload, logged.payload):
				w.add("are recorded with other bytes than the log has first", at.seq)
			}
		}
	}
	for at := range log {
		if at.track != t.Track {
			continue
		}
		if _, counts := log.first(at, of); !counts {
			continue
		}
		if e, ok := epochs[at.epoch]; !ok || at.seq > e.Last || at.seq < e.First {
			w.add("are in the log and outside of the track in the manifest", at.seq)
		}
	}
	return seqs
}
