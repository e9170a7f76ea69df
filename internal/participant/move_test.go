package participant

import (
	"testing"
)

// moving is a speaker whose ten frames are not acked, and that has said hello to the next edge.
func moving(t *testing.T) (speaker *Speaker, old, next *fakeSocket, heard chan Notice) {
	t.Helper()
	heard = make(chan Notice, 100)
	e := newFakeEdge(t)
	p, old := joinFake(t, e, Config{Notice: func(n Notice) { heard <- n }})
	speaker = speak(t, p, old, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	old.collect(newSink(), 9)
	old.say(object{"type": "move", "within_ms": 1000})
	return speaker, old, e.accept(), heard
}

// heardAll waits until the participant has read all that a socket has said.
func heardAll(t *testing.T, s *fakeSocket, heard <-chan Notice) {
	t.Helper()
	s.say(object{"type": "room", "room": object{"room": "hall", "keep": "record"}})
	for wait(t, heard, "the room").Kind != RoomChanged {
	}
}

// An ack that comes over the old socket, behind the hello, is unknown to the next edge. It waits for what is acked so: a speaker that had let go of it
// would see no ack any more.
func TestAckWhileMovingIsNotBelievedBeforeTheNextEdgeKnows(t *testing.T) {
	speaker, old, next, heard := moving(t)
	old.ack(9)
	heardAll(t, old, heard)
	next.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": -1}}})
	next.collect(newSink(), 9)
	next.ack(9)
	eventually(t, "the ack of the next edge", func() bool { return speaker.Stats().Acked == 9 })
}

// Where the move fails the old edge goes on, and it does not say again what it has said.
func TestAckWhileAMoveFails(t *testing.T) {
	speaker, old, next, heard := moving(t)
	old.ack(9)
	heardAll(t, old, heard)
	next.close(1013)
	eventually(t, "the ack of the old edge", func() bool { return speaker.Stats().Acked == 9 })
}

// A track that the old edge has ended meanwhile is whole if it has acked it so.
func TestLastAckWhileMoving(t *testing.T) {
	speaker, old, next, heard := moving(t)
	ended := make(chan error, 1)
	go func() { ended <- speaker.End(t.Context()) }()
	old.ack(9)
	old.say(object{"type": "ok", "re": old.request("track.end")["id"]})
	heardAll(t, old, heard)
	next.welcome(object{"resumed": true, "tracks": []any{}})
	if err := wait(t, ended, "the end"); err != nil {
		t.Errorf("all is acked, and the track ended with %v", err)
	}
}
