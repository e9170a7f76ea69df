package edge

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/sim"
)

// answers are ways in which the log takes a pack.
const (
	answersWell = iota
	answersLate // seconds later
	answersNobody
	answersRefusal
	answersNever
	answersKinds
)

// simLog is both streams of a world: packs, and the events of one room.
type simLog struct {
	*sim.World
	lossy float64 // how often a message is lost on the way, doubled, or very late
	mode  int
	last  uint64            // position in the audio log
	at    map[uint32]uint64 // seq -> where its first copy is
	gaps  frame.Ranges
	frame.Packet

	events  []*room.Event
	over    bool   // the session
	ended   bool   // the track
	through uint64 // with closed
	hasty   bool   // it ended before all was acked
	newest  uint32 // seq
	closed  bool
	edges   []*simEdge
	bug     string
}

// delay is that of one message.
func (l *simLog) delay() time.Duration {
	if l.Chance(l.lossy / 2) {
		return l.Upto(3 * time.Second)
	}
	return l.Between(100*time.Microsecond, 20*time.Millisecond)
}

// send brings a message over: perhaps not, perhaps twice, in any order.
func (l *simLog) send(arrives func()) {
	if l.Chance(l.lossy) {
		return
	}
	l.After(l.delay(), arrives)
	if l.Chance(l.lossy) {
		l.After(l.delay(), arrives)
	}
}

// take is a pack that has come to the log from an edge.
func (l *simLog) take(e *simEdge, msg *nats.Msg) {
	answer := func(data string) {
		l.send(func() {
			if e.up {
				e.deliver(func() { e.hear(&nats.Msg{Subject: msg.Reply, Data: []byte(data)}) })
			}
		})
	}
	switch l.mode {
	case answersNobody:
		answer("")
		return
	case answersRefusal:
		answer(`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"LOG_local","seq":0}`)
		return
	case answersNever:
		return
	}
	l.last++
	for rest := msg.Data; len(rest) > 0; {
		var err error
		if rest, err = frame.Parse(rest, &l.Packet); err != nil {
			l.Fail("the log was given what is no packet: %v", err)
		}
		for seq := l.Seq; seq <= l.Last(); seq++ {
			l.newest = max(l.newest, seq)
			if l.at[seq] == 0 {
				l.at[seq] = l.last
			}
		}
	}
	ack, _ := json.Marshal(map[string]any{"stream": "LOG_local", "seq": l.last})
	if l.mode == answersLate {
		l.After(l.Upto(3*time.Second), func() { answer(string(ack)) })
		return
	}
	answer(string(ack))
}

// append adds an event and lets the edges hear it, or not.
func (l *simLog) append(by string, fact room.Fact) {
	e := &room.Event{Room: "hall", At: time.Now(), By: by, Fact: fact, Position: uint64(len(l.events) + 1)}
	l.events = append(l.events, e)
	l.Note("event %d: %s %+v", e.Position, fact.Type(), fact)
	for _, edge := range l.edges {
		l.send(func() {
			if edge.up {
				edge.deliver(func() { edge.hears(e) })
			}
		})
	}
}

// expire ends the session, and with it the track, as presence does; then a recorder closes the track by its rules.
func (l *simLog) expire() {
	l.over = true
	l.append("presence", room.Left{Session: "s", Reason: room.Timeout})
	if l.ended {
		return // it is being closed
	}
	l.After(l.Upto(time.Second)+room.Grace, func() { // it has seen the end, and has waited
		through := l.last
		l.After(l.Upto(l.Upto(8*time.Second)), func() { // it may freeze between asking and appending
			l.closed, l.through = true, through
			l.append("recorder", room.TrackClosed{Track: simTrack, Through: through})
		})
	})
}

// counts says whether a recording has a seq, or tells why not.
func (l *simLog) counts(seq uint32) error {
	switch at := l.at[seq]; {
	case l.gaps.Contains(seq):
		return nil
	case at == 0:
		return fmt.Errorf("seq %d is not in the log", seq)
	case l.closed && at > l.through:
		return fmt.Errorf("seq %d is at %d in the log, behind the closing at %d", seq, at, l.through)
	}
	return nil
}

// PublishMsg and Replies make an edge of the world a carrier for its outbox.
func (e *simEdge) PublishMsg(msg *nats.Msg) error {
	if !e.up {
		return bus.ErrAway
	}
	e.w.send(func() { e.w.take(e, msg) })
	return nil
}

func (e *simEdge) Replies(_ string, f func(*nats.Msg)) (stop func(), err error) {
	e.hear = f
	return func() {}, nil
}
