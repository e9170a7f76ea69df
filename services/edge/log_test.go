package edge

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/subject"
)

// logMessages reads the whole audio log.
func (d *door) logMessages(t testing.TB) [][]byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	b, err := bus.Connect(ctx, d.h.nats.Config(bus.Admin), logger())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	stream, err := b.JetStream().Stream(ctx, subject.LogStream(region))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	info := stream.CachedInfo().State
	for seq := max(info.FirstSeq, 1); seq <= info.LastSeq; seq++ {
		msg, err := stream.GetMsg(ctx, seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, msg.Data)
	}
	return all
}

// breakLog makes the audio log refuse, as a full disk does; the returned function mends it.
func (h *house) breakLog() (mend func()) {
	h.t.Helper()
	b := h.connect(bus.Admin)
	update := func(size int32) {
		h.t.Helper()
		stream, err := b.JetStream().Stream(h.ctx(), subject.LogStream(region))
		if err != nil {
			h.t.Fatal(err)
		}
		cfg := stream.CachedInfo().Config
		cfg.MaxMsgSize = size
		if _, err := b.JetStream().UpdateStream(h.ctx(), cfg); err != nil {
			h.t.Fatal(err)
		}
	}
	update(1)
	return func() { update(-1) }
}

// The log refuses: live goes on, the speaker is told within two seconds, and when the log is back all is acked.
func TestLogAwayAndBack(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	mend := s.h.breakLog()
	began := time.Now()
	s.say(0, 29)
	logState := func(state string) func(*inMessage) bool {
		return func(m *inMessage) bool { return m.Type == "log" && m.State == state }
	}
	s.speaker.find("log away", logState("away"))
	if late := time.Since(began); late > 2*time.Second {
		t.Errorf("told after %v", late)
	}
	until(t, "live goes on", func() bool { return len(s.listener.heard()) == 30 })
	other, _ := s.join("hall", "other", nil)
	other.track()
	other.find("log away, for a track that starts now", logState("away"))
	began = time.Now()
	s.speaker.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 29}) // does not wait for a log that is away
	if late := time.Since(began); late > 2*time.Second {
		t.Errorf("the end waited for %v", late)
	}
	if n := s.speaker.acked(s.track.Track, 0); n != -1 {
		t.Fatalf("ack %d while the log is away", n)
	}
	mend()
	other.find("log ok", logState("ok"))
	until(t, "all is in the log", func() bool { return s.logged() == 30 })
}

// A track ended while the log was away, with frames that its speaker still has to send again: they are taken as backlog,
// and only then the log says how it ended.
func TestBacklogOfATrackThatEndedWhileTheLogWasAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	mend := s.h.breakLog()
	s.say(0, 9)
	s.speaker.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	s.speaker.must("ok", "track.end", fields{"track": s.track.Track, "epoch": 0, "last": 19})
	s.speaker.tryAudio(audio(t, s.track.Handle, 0, 10, 1, 0)) // live sound is over: a strike
	s.speaker.find("live frame refused", func(m *inMessage) bool { return m.Code == "unknown_track" })
	for seq := uint32(10); seq < 20; seq++ {
		s.speaker.sendAudio(audio(t, s.track.Handle, 0, seq, 1, frame.Backlog))
	}
	if ended(t, s) {
		t.Fatal("track.ended came before its frames")
	}
	mend()
	s.speaker.waitAck(s.track.Track, 0, 19)
	until(t, "track.ended is in the log", func() bool { return ended(t, s) })
}

func ended(t *testing.T, s *stage) bool {
	t.Helper()
	state, err := s.Log().Load(s.h.ctx(), "hall")
	if err != nil {
		t.Fatal(err)
	}
	return state.Tracks[s.track.Track].EndKnown
}

// There is no stream at all; then somebody makes it.
func TestLogThatIsMadeLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	admin := h.connect(bus.Admin)
	stream, err := admin.JetStream().Stream(h.ctx(), subject.LogStream(region))
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.JetStream().DeleteStream(h.ctx(), subject.LogStream(region)); err != nil {
		t.Fatal(err)
	}
	d := h.edge(nil)
	p, _ := d.join("hall", "speaker", nil)
	track := p.track()
	for seq := range uint32(10) {
		p.sendAudio(audio(t, track.Handle, 0, seq, 1, 0))
	}
	p.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	if _, err := admin.JetStream().CreateStream(h.ctx(), stream.CachedInfo().Config); err != nil {
		t.Fatal(err)
	}
	p.find("log ok", func(m *inMessage) bool { return m.Type == "log" && m.State == "ok" })
	p.waitAck(track.Track, 0, 9)
}

// More comes than the outbox holds while the log is away: the speaker is asked for the rest, and all gets acked in the end.
func TestResendAfterTheOutboxWasFull(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	mend := s.h.breakLog()
	const frames = 2500 // 250 packs, of which 200 fit
	s.refill(s.speaker)
	s.say(0, frames-1)
	s.speaker.find("log away", func(m *inMessage) bool { return m.Type == "log" && m.State == "away" })
	mend()
	m := s.speaker.findType("resend")
	if m.From != 2000 || m.Track != s.track.Track {
		t.Errorf("resend %+v", *m)
	}
	for seq := uint32(m.From); seq < frames; seq += 50 {
		s.speaker.sendAudio(audio(t, s.track.Handle, 0, seq, 50, 2))
	}
	s.speaker.waitAck(s.track.Track, 0, frames-1)
	s.speaker.find("log ok", func(m *inMessage) bool { return m.Type == "log" && m.State == "ok" })
	if n := len(s.listener.heard()); n != frames {
		t.Errorf("%d packets are heard", n)
	}
	if n := s.logged(); n != frames {
		t.Errorf("%d frames are in the log", n)
	}
}

// The outbox was full for a moment, and the log was never away: the speaker is asked as soon as there is room.
func TestResendWithoutAnOutage(t *testing.T) {
	s := newStage(t)
	w := s.speaker.findType("welcome")
	track := s.session("hall", w.Session).trackByHandle(s.track.Handle)
	s.outbox.mu.Lock()
	s.outbox.perTrk[track] = outboxTrack // as if so many waited
	s.outbox.mu.Unlock()
	s.say(0, 9)
	until(t, "a pack is forgotten", func() bool {
		track.mu.Lock()
		defer track.mu.Unlock()
		return track.epochs[0].lost == 0
	})
	s.outbox.mu.Lock()
	delete(s.outbox.perTrk, track)
	s.outbox.mu.Unlock()
	s.speaker.findType("resend")
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 10, 2))
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// Rooms cannot be opened while there is no event log: a joiner is told to come back later, and the edge recovers.
func TestJoinWithoutAnEventLog(t *testing.T) {
	h := newBareHouse(t)
	d := h.edge(func(e *Edge) { e.limits.linger = 10 * time.Millisecond })
	p := d.dial()
	p.refused("log_away", "hello", helloFields("hall", h.token("a", nil), nil))
	p.endsWith(1013)
	if err := h.connect(bus.Admin).EnsureStreams(h.ctx(), bus.Streams{Region: region}); err != nil {
		t.Fatal(err)
	}
	until(t, "the room is forgotten", func() bool { return d.hub("hall") == nil })
	d.join("hall", "a", nil)
}
