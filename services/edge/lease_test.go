package edge

import (
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// deaf makes an edge miss what the room's log says, and asks the leader only when the test does, as a frozen process.
func (s *stage) deaf() *hub {
	s.t.Helper()
	h := s.hub("hall")
	if err := h.sub.Unsubscribe(); err != nil {
		s.t.Fatal(err)
	}
	return h
}

// leaseOf gives the edge's own idea of the speaker's track.
func (s *stage) leaseOf() *track {
	s.t.Helper()
	return s.session("hall", s.speaker.findType("welcome").Session).trackByHandle(s.track.Handle)
}

// frozenStage is one whose leases run out soon and are renewed only at the start of a track and by hand.
func frozenStage(t *testing.T) *stage {
	t.Helper()
	d := newHouse(t).edge(func(e *Edge) { e.limits.lease, e.limits.renew = 400*time.Millisecond, time.Hour })
	s := &stage{door: d, t: t}
	s.listener, _ = d.join("hall", "listener", nil)
	s.speaker, _ = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	return s
}

func (s *stage) heldPacks() (n int) {
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	for _, count := range s.outbox.held {
		n += count
	}
	return n
}

// lastLogged is the newest position of the audio log.
func (s *stage) lastLogged() uint64 { return uint64(len(s.logMessages(s.t))) }

// A session has left and its track is closed while its edge knew nothing of it, and its socket still stands: what the log takes
// after the closing is in no recording, so it must never be acked.
func TestNothingIsAckedBehindTheClosing(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr, h := s.leaseOf(), s.deaf()
	until(t, "the first lease", tr.leased)
	session := s.speaker.findType("welcome").Session
	s.decide("hall", func(st *room.State) (room.Draft, error) { return st.Leave(session, room.Timeout) })
	s.decide("hall", func(st *room.State) (room.Draft, error) { return st.CloseTrack(tr.id, s.lastLogged()) })
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "stored, and held", func() bool { return s.heldPacks() == 1 && s.lastLogged() > 0 })
	if n := s.speaker.acked(tr.id, 0); n != -1 {
		t.Fatalf("acked up to %d, and no recording has it", n)
	}
	h.renewSoon(false) // the process goes on: it finds that it missed something
	s.speaker.endsWith(1012)
	h.renewSoon(false)
	until(t, "forgotten", s.outbox.empty)
	if n := s.speaker.acked(tr.id, 0); n != -1 {
		t.Fatalf("acked up to %d, and no recording has it", n)
	}
}

// Without a lease acks wait; with the leader's word that nothing has happened they are given.
func TestAcksWaitForTheLease(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr := s.leaseOf()
	until(t, "the first lease", tr.leased)
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "held", func() bool { return s.heldPacks() == 1 })
	if n := s.speaker.acked(tr.id, 0); n != -1 {
		t.Fatalf("acked up to %d without a lease", n)
	}
	s.hub("hall").renewSoon(false)
	s.speaker.waitAck(tr.id, 0, 9)
	if n := s.logged(); n != 10 {
		t.Errorf("%d frames are in the log: what is stored is not sent again", n)
	}
}

// What the closing fact counts is acked even then.
func TestClosingAcksWhatItCounts(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr := s.leaseOf()
	until(t, "the first lease", tr.leased)
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "held", func() bool { return s.heldPacks() == 1 })
	counts := s.lastLogged()
	s.say(10, 19)
	until(t, "both held", func() bool { return s.heldPacks() == 2 })
	session := s.speaker.findType("welcome").Session
	s.decide("hall", func(st *room.State) (room.Draft, error) { return st.Leave(session, room.Timeout) })
	s.decide("hall", func(st *room.State) (room.Draft, error) { return st.CloseTrack(tr.id, counts) })
	until(t, "nothing waits", s.outbox.empty)
	if _, acked := tr.ackedNow(); acked != 9 {
		t.Errorf("acked up to %d, the recording has up to 9", acked)
	}
}

// What is held is bounded in time, too: an edge that never hears of the room again forgets it.
func TestHeldPacksAreGivenUp(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr := s.leaseOf()
	until(t, "the first lease", tr.leased)
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "held", func() bool { return s.heldPacks() == 1 })
	s.outbox.retry(nanotime() + int64(heldMost) + int64(time.Second))
	if !s.outbox.empty() || s.speaker.acked(tr.id, 0) != -1 {
		t.Error("still held, or acked")
	}
	s.outbox.mu.Lock()
	defer s.outbox.mu.Unlock()
	if s.outbox.bytes != 0 || s.outbox.flight != 0 || len(s.outbox.perTrk)+len(s.outbox.held) != 0 {
		t.Errorf("%d bytes, %d under way, of %d tracks", s.outbox.bytes, s.outbox.flight, len(s.outbox.perTrk))
	}
}

// An edge that gave up what it held, and then hears of the room after all, asks for it again: else the track's acks would stand still
// for as long as it goes on.
func TestWhatWasGivenUpIsAskedForAgain(t *testing.T) {
	t.Parallel()
	s := frozenStage(t)
	tr := s.leaseOf()
	until(t, "the first lease", tr.leased)
	until(t, "the lease is over", func() bool { return !tr.leased() })
	s.say(0, 9)
	until(t, "held", func() bool { return s.heldPacks() == 1 })
	s.outbox.retry(nanotime() + int64(heldMost) + int64(time.Second))
	asked := s.speaker.findType("resend")
	if asked.Track != tr.id || asked.From != 0 {
		t.Fatalf("asked for %+v", asked)
	}
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 10, frame.Backlog))
	until(t, "held again", func() bool { return s.heldPacks() == 1 })
	s.hub("hall").renewSoon(false)
	s.speaker.waitAck(tr.id, 0, 9)
}

// An edge leases for less than recorders wait, or its acks prove nothing.
func TestLeaseIsShorterThanGrace(t *testing.T) {
	if l := defaultLimits(); l.lease >= room.Grace || 3*l.renew > l.lease {
		t.Errorf("leases of %v, renewed every %v, recorders wait %v", l.lease, l.renew, room.Grace)
	}
}

// A track.start that the old edge is still appending when the session has moved: the new edge, of which the speaker asks it again, ends
// the stray one.
func TestTrackStartedByTheEdgeBefore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	_, w := d.join("hall", "speaker", nil)
	q, _ := e.join("hall", "speaker", fields{"resume": w.Resume})
	stray := room.TrackStarted{Track: "aaaaaaa", Handle: 1, Session: w.Session, Name: "mic", Channels: 1, FrameMS: 20}
	if _, err := d.log.Append(h.ctx(), "hall", room.Draft{Fact: stray}, ""); err != nil {
		t.Fatal(err)
	}
	own := q.track()
	until(t, "the stray one has ended", func() bool { return e.state("hall").Tracks[stray.Track].Ended })
	if st := e.state("hall"); st.Tracks[own.Track].Ended {
		t.Error("its own track has ended")
	}
}

// An event is missed and the next one, on another subject, is heard: the fold is as far as the leader and does not have all.
func TestAnEventMissedBetweenTwo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(func(e *Edge) { e.limits.audit = 100 * time.Millisecond }), h.edge(nil)
	watch, _ := d.join("hall", "watch", nil)
	hub := d.hub("hall")
	if err := hub.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	e.join("hall", "missed", nil)
	sub, err := d.bus.Conn().Subscribe(subject.LiveRoom("hall"), hub.hear)
	if err != nil {
		t.Fatal(err)
	}
	hub.mu.Lock()
	hub.sub = sub
	hub.mu.Unlock()
	if err := d.bus.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	e.join("hall", "heard", nil)
	until(t, "the roster is right", func() bool { return len(watch.roster()) == 3 })
}
