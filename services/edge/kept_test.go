package edge

import (
	"testing"

	"github.com/nats-io/nats.go"

	"airloom/internal/room"
)

// The room stops keeping its sound while some of it is on its way into the log, and keeps it again: what the log does not have yet is not
// acked before it has it; what was not to be kept counts as done, and the speaker is told without sending more.
func TestKeptAgainWhileTheLogIsAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	keep := func(k room.Keep) {
		s.set("hall", room.Settings{Keep: k, Speak: room.SpeakGranted})
		until(t, "the edge follows", func() bool { return s.hub("hall").info().Keep == k })
	}
	mend := s.h.breakLog()
	s.say(0, 9)
	until(t, "they are on their way", func() bool { return !s.outbox.empty() })
	keep(room.KeepNone)
	s.say(10, 19)
	until(t, "they are heard", func() bool { return len(s.listener.heard()) == 20 })
	keep(room.KeepRewind)
	s.speaker.stays() // an ack would have come by now
	if acked := s.speaker.acked(s.track.Track, 0); acked >= 0 {
		t.Errorf("acked up to %d while the log has nothing", acked)
	}
	mend()
	s.speaker.waitAck(s.track.Track, 0, 19)
	if n := s.logged(); n != 10 {
		t.Errorf("%d frames are in the log, want 10", n)
	}
}

// What was not kept is acked when the room begins to keep its sound, though the speaker says nothing more.
func TestKeptAgainIsTold(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.set("hall", room.Settings{Keep: room.KeepNone, Speak: room.SpeakGranted})
	until(t, "nothing is kept", func() bool { return s.hub("hall").info().Keep == room.KeepNone })
	s.say(0, 9)
	until(t, "they are heard", func() bool { return len(s.listener.heard()) == 10 })
	s.set("hall", room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// silentLog takes what it is given and says nothing.
type silentLog struct{ sent int }

func (l *silentLog) PublishMsg(*nats.Msg) error { l.sent++; return nil }
func (l *silentLog) Replies(string, func(*nats.Msg)) (func(), error) {
	return func() {}, nil
}

// However often the outbox looks, no more packs are under way than its window has room for.
func TestOutboxKeepsItsWindow(t *testing.T) {
	log := &silentLog{}
	o := newOutbox(log, "edge", &metrics{}, func(bool) {})
	one := &track{}
	o.perTrack = 2 * outboxWindow
	for range 2 * outboxWindow {
		o.add(&pack{track: one, born: nanotime()})
	}
	for range 3 {
		o.retry(nanotime())
	}
	if o.flight != outboxWindow || log.sent != outboxWindow {
		t.Errorf("%d packs are under way, %d were sent, the window is %d", o.flight, log.sent, outboxWindow)
	}
}
