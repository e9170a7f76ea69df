package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"airloom/internal/frame"
	"airloom/internal/participant"
)

// stay is a listener's session that is over: what came over its socket beside what listener.hear was given, as the receiver drops what it had already.
type stay struct {
	from, to time.Time
	moved    bool // it took another socket, or lost the one it had
	tracks   []came
}

// came counts what of a track came twice, or behind what came later.
type came struct {
	handle        uint32
	doubled, late uint64
}

// arrival is how a session began.
type arrival struct {
	at    time.Time
	edge  string
	moved atomic.Bool
}

func (a *arrival) notice(n participant.Notice) {
	if n.Kind == participant.Lost || n.Kind == participant.Back {
		a.moved.Store(true)
	}
}

// keep notes what came in a session that is over.
func (l *listener) keep(p *participant.Participant, began *arrival) {
	one := stay{from: began.at, to: time.Now(), moved: began.moved.Load() || p.Session().Edge != began.edge}
	p.Received(func(r *participant.Receiver) {
		for _, t := range r.Tracks() {
			one.tracks = append(one.tracks, came{t.Handle, t.Duplicates, t.Late})
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.past = append(l.past, one)
}

// mayDouble says whether packets may have come twice: docs/wire.md allows that where a session moves to another socket, and core NATS delivers again
// what somebody publishes again.
func (r *run) mayDouble(s stay) bool { return s.moved || r.echoed(s.from, s.to) }

// wrong says what must not have come. What a frozen or slow server still held comes late, and is no promise broken: disturbed says that there may have
// been one.
func (s *stay) wrong(disturbed bool) (what []string) {
	for _, t := range s.tracks {
		if t.doubled > 0 {
			what = append(what, fmt.Sprintf("%d frames of track %s came twice over one socket, and nobody had said them again", t.doubled, frame.TrackID(t.handle)))
		}
		if t.late > 0 && !disturbed {
			what = append(what, fmt.Sprintf("%d frames of track %s came behind later ones, and nothing was in their way", t.late, frame.TrackID(t.handle)))
		}
	}
	return what
}
