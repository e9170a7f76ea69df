package edge

import (
	"fmt"
	"testing"
	"time"

	"airloom/internal/outgoing"
	"airloom/internal/room"
	"airloom/internal/sim"
)

var simMetrics = func() *metrics {
	m, err := newMetrics()
	if err != nil {
		panic(err)
	}
	return m
}()

// TestAckMachine is a speaker whose sound goes through three edges, which freeze, die, lose NATS and miss events, into a log that loses,
// delays, doubles and reorders what it is given and what it answers, refuses, and is away. Promised: what is acked is in the log, and in what
// recordings count of it; what they count is acked in the end, or else the speaker is told how much it is; acks never go back; the outbox keeps its bounds; the log's being away is told in time; and in the end
// everything is in the log or declared a gap, and acked.
func TestAckMachine(t *testing.T) {
	sim.Check(t, func(w *sim.World) { runAcks(w, "") })
}

// A machine that finds no bug has not been shown to look.
func TestAckMachineFindsBugs(t *testing.T) {
	for bug, words := range map[string]string{
		"acks early": "is not in the log", "forgets at closing": "waits in vain", "no lease": "behind the closing", "no retry": "",
	} {
		t.Run(bug, func(t *testing.T) {
			sim.Finds(t, 300, words, func(w *sim.World) { runAcks(w, bug) })
		})
	}
}

func runAcks(world *sim.World, bug string) {
	w := &simLog{World: world, at: map[uint32]uint64{}, bug: bug}
	if !w.Chance(0.1) {
		w.lossy = w.Float64() * 0.15
	}
	perTrack := 8 + w.IntN(193)
	for i := range 3 {
		w.edges = append(w.edges, newSimEdge(w, fmt.Sprintf("edge%d", i), perTrack, bug))
	}
	unit := []uint8{8, 16, 24}[w.IntN(3)]
	sp := &simSpeaker{w: w, unit: unit, out: outgoing.New(simHandle, 0, unit, 100+w.IntN(900), false, time.Now())}
	w.append("edge0", room.Joined{Session: "s", Identity: "i", Edge: "edge0", Grants: room.Grants{Speak: true}})
	w.append("edge0", room.TrackStarted{Track: simTrack, Handle: simHandle, Session: "s", Name: "mic", Channels: 1, FrameMS: float64(unit) * 2.5})
	sp.comeBack()
	speaking := true
	w.Every(time.Duration(unit)*2500*time.Microsecond, func() bool {
		if speaking {
			sp.out.Add(simFrame(uint32(sp.out.Next()), unit), false, time.Now())
			sp.pump()
		}
		return speaking
	})
	w.Every(2*time.Second, func() bool {
		if from, stalled := sp.out.Stalled(time.Now()); stalled && sp.socket.open && sp.socket.welcomed {
			sp.resend(from)
		}
		return true
	})
	trouble := w.trouble(sp)
	if w.Chance(0.4) {
		w.After(w.Upto(trouble), func() { speaking = false; sp.finish() })
	}
	w.Run(trouble, nil)
	w.heal()
	speaking = false
	w.Run(5*time.Second, nil) // sockets that broke are noticed
	sp.finish()
	whole := func() bool { return sp.over || sp.end.told || sp.out.Acked() == sp.out.Next()-1 }
	w.Run(2*time.Minute, whole)
	w.Run(40*time.Second, w.quiet) // what is still under way, and the closing
	w.judge(sp, whole())
}

// simFrame is a valid frame of 20, 40 or 60 ms that says its number.
func simFrame(seq uint32, unit uint8) []byte {
	b := opus(seq, 12)
	b[0] = (8 + unit/8) << 3
	return b
}

// quiet says that nothing is under way any more.
func (w *simLog) quiet() bool {
	for _, e := range w.edges {
		if !e.e.outbox.empty() || e.e.outbox.isAway() {
			return false
		}
	}
	return (w.over || w.ended) == w.closed
}

// judge holds the end against the promises.
func (w *simLog) judge(sp *simSpeaker, whole bool) {
	for _, e := range w.edges {
		for _, t := range e.tracks {
			for seq := int64(0); seq <= e.checked[t]; seq++ {
				if err := w.counts(uint32(seq)); err != nil {
					w.Fail("edge %s has acked up to %d: %v", e.e.id, e.checked[t], err)
				}
			}
		}
	}
	for seq := int64(0); seq <= sp.out.Acked(); seq++ {
		if err := w.counts(uint32(seq)); err != nil {
			w.Fail("the speaker saw %d acked: %v", sp.out.Acked(), err)
		}
	}
	sp.holdEnd()
	if w.over {
		return // what was not acked by then may be lost
	}
	if w.ended && !whole {
		w.Fail("the speaker waits in vain: the track is closed, acked up to %d of %d", sp.out.Acked(), sp.out.Next())
	}
	if !whole {
		w.Fail("stuck: acked up to %d of %d, log away: %v", sp.out.Acked(), sp.out.Next(), sp.out.LogAway())
	}
	for _, e := range w.edges {
		if e.e.outbox.isAway() || e.e.outbox.has(nil) || len(e.e.outbox.held) > 0 {
			w.Fail("edge %s still waits for the log", e.e.id)
		}
	}
	if sp.out.LogAway() {
		w.Fail("the speaker still takes the log for away")
	}
}

// trouble foresees what goes wrong, and says for how long.
func (w *simLog) trouble(sp *simSpeaker) time.Duration {
	span := w.Between(5*time.Second, 30*time.Second)
	for range w.IntN(8) {
		at, long := w.Upto(span), w.Upto(w.Upto(12*time.Second))
		edge := w.edges[w.IntN(len(w.edges))]
		switch w.IntN(6) {
		case 0:
			mode := 1 + w.IntN(answersKinds-1)
			w.After(at, func() { w.mode = mode; w.Note("log answers %d for %v", mode, long) })
			w.After(at+long, func() { w.mode = answersWell })
		case 1:
			w.After(at, func() { edge.up = false; w.Note("%s has no NATS for %v", edge.e.id, long) })
			w.After(at+long, func() { edge.up = true; w.After(w.Upto(time.Second), func() { edge.deliver(edge.refold) }) })
		case 2, 3:
			w.After(at, func() { edge.frozen = true; w.Note("%s freezes for %v", edge.e.id, long) })
			w.After(at+long, func() { edge.thaw() })
		case 4:
			w.After(at, func() { sp.breakOff(w.Chance(0.5)) })
		case 5:
			w.After(at, func() { w.kill(sp, edge) })
		}
	}
	if w.Chance(0.4) {
		w.After(w.Upto(span), w.expire)
	}
	return span
}

func (sp *simSpeaker) breakOff(lost bool) {
	if sp.socket != nil && sp.socket.open {
		sp.socket.cut(lost)
	}
}

// kill ends an edge's process; another one takes its place. What it had not brought into the log is gone.
func (w *simLog) kill(sp *simSpeaker, dead *simEdge) {
	w.Note("%s is killed", dead.e.id)
	for i, e := range w.edges {
		if e == dead {
			w.edges[i] = newSimEdge(w, dead.e.id+"+", dead.e.outbox.perTrack, w.bug)
		}
	}
	dead.up, dead.frozen, dead.dead = false, true, true
	if sp.socket != nil && sp.socket.edge == dead {
		sp.breakOff(true)
	}
}

// heal ends all trouble but what is under way.
func (w *simLog) heal() {
	w.Note("all is well from here on")
	w.lossy, w.mode = 0, answersWell
	for _, e := range w.edges {
		if e.thaw(); !e.up {
			e.up = true
		}
		e.deliver(e.refold)
	}
}
