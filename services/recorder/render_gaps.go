package recorder

import (
	"cmp"
	"slices"

	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/recording"
)

// lose accounts for whole segments that are missing, seqs from to below, by the first fact about each.
func (r *render) lose(e *epochPlan, from, below uint64) {
	if from >= below {
		return
	}
	left := []frame.Range{{From: uint32(from), To: uint32(below - 1)}}
	var gaps []recording.Gap
	for _, g := range r.plan.facts {
		if g.Epoch != e.id {
			continue
		}
		for _, l := range left {
			if a, b := max(l.From, g.From), min(l.To, g.To); a <= b {
				gaps = append(gaps, recording.Gap{SeqRange: recording.SeqRange{Epoch: e.id, From: a, To: b}, Reason: g.Reason})
			}
		}
		left = subtract(left, frame.Range{From: g.From, To: g.To})
	}
	slices.SortFunc(gaps, func(a, b recording.Gap) int { return cmp.Compare(a.From, b.From) })
	for _, g := range gaps {
		r.gap(g)
	}
}

// gap adds a gap, as part of the last one where that goes on.
func (r *render) gap(g recording.Gap) {
	if n := len(r.track.Gaps); n > 0 {
		if last := &r.track.Gaps[n-1]; last.Epoch == g.Epoch && last.Reason == g.Reason && last.To+1 == g.From {
			last.To = g.To
			return
		}
	}
	r.track.Gaps = append(r.track.Gaps, g)
}

func (r *render) silent(s recording.SeqRange) {
	if n := len(r.track.Silence); n > 0 {
		if last := &r.track.Silence[n-1]; last.Epoch == s.Epoch && last.To+1 == s.From {
			last.To = s.To
			return
		}
	}
	r.track.Silence = append(r.track.Silence, s)
}

func (r *render) fill(f ogg.Fill) {
	if f.Packets == 0 {
		return
	}
	if n := len(r.track.Fill); n > 0 {
		if last := &r.track.Fill[n-1]; last.First+last.Packets == f.First {
			last.Packets += f.Packets
			return
		}
	}
	r.track.Fill = append(r.track.Fill, recording.Fill{First: f.First, Packets: f.Packets})
}
