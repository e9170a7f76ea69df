package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is one thing that is done to the cluster, at a time after the run began, and undone again.
type fault struct {
	kind   *kind
	at     time.Duration
	lasts  time.Duration
	on     []string // the processes it holds; no two faults are planned to hold the same one at a time
	amount int      // of what the kind says
}

func (f fault) String() string {
	return fmt.Sprintf("%6.2fs  %s %s for %.2fs", f.at.Seconds(), f.kind.name, strings.Join(f.on, " "), f.lasts.Seconds())
}

// schedule is all that a seed decides about the cluster. It depends on the seed, the seconds and the kinds of faults alone: the same seed
// plans the same. What comes of it still depends on the machine, as with every real process.
type schedule struct {
	faults     []fault
	sharedBlob bool // both recorders store into one folder
}

// String counts the faults by kind.
func (s *schedule) String() string {
	count := map[string]int{}
	for _, f := range s.faults {
		count[f.kind.name]++
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(count)) {
		all = append(all, fmt.Sprintf("%d %s", count[name], name))
	}
	return strings.Join(all, ", ")
}

// plan draws the schedule.
func plan(cfg config) *schedule {
	rng := dice(cfg.Seed, "plan")
	s := &schedule{sharedBlob: rng.IntN(4) == 0}
	var allowed []*kind
	for i := range kinds {
		if len(cfg.Faults) == 0 || slices.Contains(cfg.Faults, kinds[i].name) {
			allowed = append(allowed, &kinds[i])
		}
	}
	if len(allowed) == 0 {
		return s
	}
	p := planner{rng: rng, busy: map[string]time.Duration{}, once: map[string]bool{}}
	end := time.Duration(cfg.Seconds) * time.Second
	for at := p.between(1000, 2500); at < end-time.Second; at += p.between(700, 3500) {
		if f, ok := p.draw(allowed, at); ok {
			f.lasts = min(f.lasts, end-at)
			s.faults = append(s.faults, f)
		}
	}
	return s
}

type planner struct {
	rng  *rand.Rand
	busy map[string]time.Duration // until when a process is held, and one second more
	once map[string]bool          // kinds that were drawn and happen once in a run at most
}

func (p *planner) between(from, to int) time.Duration {
	return time.Duration(from+p.rng.IntN(to-from)) * time.Millisecond
}

// draw chooses a kind and whom it hits; of those that are held already it tries others, a few times.
func (p *planner) draw(allowed []*kind, at time.Duration) (fault, bool) {
	total := 0
	for _, k := range allowed {
		total += k.weight
	}
	for range 20 {
		n := p.rng.IntN(total)
		k := allowed[slices.IndexFunc(allowed, func(k *kind) bool { n -= k.weight; return n < 0 })]
		f := fault{kind: k, at: at, lasts: p.between(k.from, k.to), on: k.on(p.rng), amount: p.rng.IntN(1000)}
		free := !slices.ContainsFunc(f.on, func(name string) bool { return p.busy[name] > at })
		if !free || k.once && p.once[k.name] {
			continue
		}
		p.once[k.name] = true
		for _, name := range f.on {
			p.busy[name] = at + f.lasts + time.Second
		}
		return f, true
	}
	return fault{}, false
}

// Who a fault may hit.
var (
	nodeNames    = []string{"nats1", "nats2", "nats3"}
	serviceNames = []string{"edge1", "edge2", "presence1", "presence2", "recorder1", "recorder2"}
	edgeNames    = []string{"edge1", "edge2"}
)

func oneOf(lists ...[]string) func(*rand.Rand) []string {
	all := slices.Concat(lists...)
	return func(rng *rand.Rand) []string { return []string{all[rng.IntN(len(all))]} }
}

func allOf(names ...string) func(*rand.Rand) []string {
	return func(*rand.Rand) []string { return slices.Clone(names) }
}

// twoNodesAndAnEdge takes the quorum and an edge that has packs which wait for it.
func twoNodesAndAnEdge(rng *rand.Rand) []string {
	spared := rng.IntN(len(nodeNames))
	return append(slices.Delete(slices.Clone(nodeNames), spared, spared+1), edgeNames[rng.IntN(len(edgeNames))])
}
