package edge

import (
	"time"

	"airloom/internal/room"
)

// simEnd is how a speaker's track ends.
type simEnd struct {
	wanted bool
	asked  *simSocket // on which the end was asked for
	told   bool       // closed has come
	kept   int64
}

// finish is End of internal/participant.
func (sp *simSpeaker) finish() {
	if sp.end.wanted {
		return
	}
	sp.end.wanted = true
	sp.out.End()
	sp.pump()
}

// askEnd asks once on each socket, when all is sent.
func (sp *simSpeaker) askEnd() {
	s := sp.socket
	if !sp.end.wanted || sp.end.told || s == nil || !s.open || !s.welcomed || sp.end.asked == s || !sp.out.SentAll() {
		return
	}
	sp.end.asked = s
	last := sp.out.Next() - 1
	s.up(func() { s.edge.endTrack(last) })
}

func (sp *simSpeaker) closed(m simMessage) {
	sp.w.Note("speaker is told: closed, acked %d, kept %d", m.Acked, m.Kept)
	sp.out.Ack(m.Acked, time.Now())
	sp.end.told, sp.end.kept = true, m.Kept
}

// holdEnd holds what the speaker was told against what recordings have.
func (sp *simSpeaker) holdEnd() {
	count := int64(0)
	for seq := range sp.out.Next() {
		if sp.w.counts(uint32(seq)) == nil {
			count++
		}
	}
	if sp.end.told && sp.end.kept != count {
		sp.w.Fail("the speaker was told that %d seqs are kept, of %d recordings have %d", sp.end.kept, sp.out.Next(), count)
	}
	if sp.w.ended && !sp.w.over && !sp.w.hasty && count != sp.out.Next() {
		sp.w.Fail("the track ended before all was acked: of %d seqs recordings have %d", sp.out.Next(), count)
	}
}

// helloOver welcomes a speaker whose track has ended.
func (s *simSocket) helloOver(session *session, said resumeTrack) {
	s.edge.told[s.conn] = said.Acked
	over := s.edge.hub.overSince(session, true, []resumeTrack{said})
	s.downDo(func() {
		s.welcomed, s.sp.tries = true, 0
		s.sp.out.SetLogAway(false, time.Now())
	})
	s.edge.hub.tellOver(over)
}

// endTrack is what the edge does with a track.end: see session.endTrack.
func (e *simEdge) endTrack(last int64) {
	session := e.hub.sessions["s"]
	if session == nil || session.trackByHandle(simHandle) == nil {
		return // unknown_track
	}
	t, began, wait := session.trackByHandle(simHandle), time.Now(), true
	patience := endWithin
	if e.w.Chance(0.5) {
		patience = e.w.Upto(e.w.Upto(2 * time.Second)) // a moderator does not wait for acks
	}
	e.w.Every(50*time.Millisecond, func() bool {
		done := e.dead || e.w.over
		e.deliver(func() {
			if done = done || e.hub.sessions["s"] != session || session.trackByHandle(simHandle) == nil && !session.over; done {
				return // another track.end was faster, or the session has gone
			}
			if wait && e.e.outbox.isAway() {
				t.quiet()
				wait = false
			}
			late := wait && time.Since(began) > patience
			if e.up && (t.whenAcked(0, last) == nil || late) {
				e.w.hasty = e.w.hasty || late
				done = true
				e.finishTrack(session, t, last)
			}
		})
		return !done
	})
}

func (e *simEdge) finishTrack(session *session, t *track, last int64) {
	t.end()
	session.removeTrack(t)
	if e.w.ended || e.w.over {
		return
	}
	e.w.ended = true
	e.w.append(e.e.id, room.TrackEnded{Track: simTrack, Last: last})
	e.hears(e.w.events[len(e.w.events)-1])
	e.w.closeSoon(last)
}

// closeSoon is a recorder: it closes the track when nothing is missing, or when it has waited long enough.
func (l *simLog) closeSoon(last int64) {
	noticed := l.Now() + l.Upto(time.Second)
	l.Every(100*time.Millisecond, func() bool {
		missing := false
		for seq := range last + 1 {
			missing = missing || l.at[uint32(seq)] == 0 && !l.gaps.Contains(uint32(seq))
		}
		switch {
		case l.Now() < noticed, missing && l.Now() < noticed+room.Grace:
			return true
		}
		through := l.last
		l.After(l.Upto(l.Upto(8*time.Second)), func() { // it may freeze between asking and appending
			l.closed, l.through = true, through
			l.append("recorder", room.TrackClosed{Track: simTrack, Through: through})
		})
		return false
	})
}

// missedClosing is hub.closingMissed.
func (e *simEdge) missedClosing(ids []string) {
	if len(ids) > 0 {
		e.w.After(e.w.Upto(100*time.Millisecond), func() { e.deliver(func() { e.settle(e.hub.closed(simTrack, e.w.through)) }) })
	}
}

// settle does what Edge.settle does, with reads that fail, and replicas that are behind.
func (e *simEdge) settle(open []settling) {
	for _, s := range open {
		if e.w.bug == "forgets at closing" {
			continue
		}
		places := 3
		if s.doubt {
			places = 4
		}
		e.w.Every(100*time.Millisecond, func() bool {
			done := e.dead
			e.deliver(func() {
				if places > 0 && !s.track.whole() {
					if e.up && !e.w.Chance(e.w.lossy*2) {
						e.look(s, places)
						places--
					}
					return
				}
				s.track.tellClosed()
				done = true
			})
			return !done
		})
	}
}

func (e *simEdge) look(s settling, places int) {
	from, head := uint64(0), e.w.last
	if places == 4 {
		from = s.behind
	}
	if places > 1 && e.w.Chance(e.w.lossy) {
		head -= min(head, uint64(e.w.IntN(20)))
	}
	head = min(head, s.through)
	for seq := range e.w.newest + 1 {
		if at := e.w.at[seq]; at > from && at <= head {
			s.track.durable(0, seq, seq)
		}
	}
}
