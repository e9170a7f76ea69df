package presence

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// trouble foresees something that goes wrong, and when it is well again.
func (w *simLog) trouble(at, long time.Duration) {
	edge, p := w.IntN(len(w.edges)), w.IntN(len(w.all))
	what := w.IntN(8)
	w.After(at, func() {
		e, p := w.edges[edge], w.all[p]
		switch what {
		case 0, 1:
			w.kill(edge)
		case 2:
			w.Note("%s freezes for %v", e.name, long)
			e.frozen = true
			w.After(long, func() { e.frozen, e.wellSince = false, w.Now() })
		case 3:
			w.Note("%s is cut off for %v", e.name, long)
			e.cut = true
			w.After(long, func() { e.cut, e.wellSince = false, w.Now() })
		case 4:
			w.Note("%s freezes for %v", p.name, long)
			p.frozen = true
			w.After(long, p.thaw)
		case 5:
			w.Note("%s is cut off for %v", p.name, long)
			p.cut = true
			w.After(long, func() { p.cut, p.back, p.wellSince = false, true, w.Now() })
		case 6:
			w.Note("%s is killed", p.name)
			p.dead = true
			w.After(long/4, func() { w.replace(p) })
		case 7:
			w.Note("the log is away for %v", long)
			w.up = false
			w.bad()
			w.After(long, func() { w.up = true; w.bad() })
		}
	})
}

// kill ends an edge for good; another one takes its place. Its sockets break, and their participants come back, or not.
func (w *simLog) kill(i int) {
	dead, at := w.edges[i], w.Now()
	if dead.dead {
		return
	}
	w.Note("%s is killed", dead.name)
	dead.dead = true
	w.edges[i] = w.edge(dead.name + "+")
	for _, p := range w.sorted() {
		if p.edge != dead {
			continue
		}
		if p.edge, p.gone = nil, p.gone || w.Chance(0.4); !p.gone {
			w.After(w.Upto(15*time.Second), func() { w.comeBack(p) })
		}
	}
	w.After(5*time.Second, func() { w.ghosts(dead, at) })
}

func (w *simLog) replace(dead *simPresence) {
	for i, p := range w.all {
		if p == dead {
			w.all[i] = w.presence(dead.name + "+")
		}
	}
}

// sorted gives the people in one order: maps have none, and a seed is to be one run.
func (w *simLog) sorted() []*person {
	return slices.SortedFunc(maps.Values(w.people), func(a, b *person) int { return strings.Compare(a.session, b.session) })
}

// heal ends all trouble.
func (w *simLog) heal() {
	w.Note("all is well from here on")
	w.lossy, w.up = 0, true
	for _, e := range w.edges {
		e.frozen, e.cut, e.wellSince = false, false, w.Now()
	}
	for _, p := range w.all {
		p.cut, p.back = false, true
		if p.dead {
			w.replace(p)
		} else {
			p.thaw()
		}
	}
}

// judge holds the log against what is true.
func (w *simLog) judge() {
	for _, p := range w.sorted() {
		known := w.state.Sessions[p.session]
		switch {
		case p.gone && known != nil:
			w.Fail("%s has gone and not left: %+v", p.session, *known)
		case !p.gone && p.edge != nil && (known == nil || known.Away || !known.Present()):
			w.Fail("%s is there, on %s, and the log does not say so: %+v", p.session, p.edge.name, known)
		}
	}
	for _, p := range w.all {
		for id, known := range w.state.Sessions {
			if s := p.watch.rooms["hall"].state.Sessions[id]; s == nil || s.Away != known.Away || s.LastEdge != known.LastEdge {
				w.Fail("%s knows %s as %+v, it is %+v", p.name, id, s, known)
			}
		}
	}
}
