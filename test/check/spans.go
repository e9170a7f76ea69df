package main

import (
	"slices"
	"time"
)

// span is when a fault of this run held; to is zero while it does.
type span struct {
	kind     string
	from, to time.Time
}

// begun notes that a fault begins, and gives what notes its end.
func (r *run) begun(kind string) (over func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := len(r.spans)
	r.spans = append(r.spans, span{kind: kind, from: time.Now()})
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.spans[i].to = time.Now()
	}
}

// lingering is for how long a message may still be on its way when nothing is in its way any more.
const lingering = 2 * time.Second

// echoed says whether somebody said live packets again from one time to another, or whether such packets may have arrived then: a process that stood
// still meanwhile, or was cut off, passes on what it holds when that is over.
func (r *run) echoed(from, to time.Time) bool {
	r.mu.Lock()
	spans := slices.Clone(r.spans)
	r.mu.Unlock()
	return slices.ContainsFunc(spans, func(s span) bool {
		return s.kind == "echo" && s.from.Before(to) && settles(spans, s).Add(lingering).After(from)
	})
}

// disturbed says whether any fault held from one time to another.
func (r *run) disturbed(from, to time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.spans, func(s span) bool { return s.from.Before(to) && s.end().Add(lingering).After(from) })
}

func (s span) end() time.Time {
	if s.to.IsZero() {
		return time.Now()
	}
	return s.to
}

// settles is when the last of the faults is over that hold, one after the other without a moment between them, from a fault on.
func settles(spans []span, s span) time.Time {
	end := s.end()
	for again := true; again; {
		again = false
		for _, other := range spans {
			if !other.from.After(end) && other.end().After(end) {
				end, again = other.end(), true
			}
		}
	}
	return end
}
