package eventlog

import (
	"context"
	"slices"
	"time"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

const (
	countPatience = 500 * time.Millisecond // for the replicas' numbers: one that is silent must not hold up a room
	searches      = 10                     // readings for what a number says is missing; of three replicas one that lacks nothing answers nearly surely
)

// short says whether the replicas that were read lack events that others have, by their number. An event is named by the next one on its
// subject, but nothing names the last one there: a session that left would stay in the room. What is found is put into its place in
// every reading from now on.
func (r *reading) short(ctx context.Context) bool {
	if len(r.given) == 0 || r.log.bus.Conn().ConnectedClusterName() == "" { // there is one replica only
		return false
	}
	through := r.given[len(r.given)-1]
	if through-r.from == uint64(len(r.given)) { // nothing has a place between them
		return false
	}
	asking, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	most, _ := bus.Count(asking, r.log.bus.JetStream(), subject.EventStream(r.log.region), subject.RoomEvents(r.log.region, r.room), r.from, through)
	missing := int(most) - len(r.given)
	for range searches {
		if missing <= 0 || ctx.Err() != nil {
			break
		}
		missing -= r.search(ctx, through)
	}
	return r.torn
}

// search reads the room once more, from whichever replica answers, and notes what was not given.
func (r *reading) search(ctx context.Context, through uint64) (found int) {
	other := &reading{log: r.log, room: r.room, from: r.from, last: through}
	for after := r.from; after < through; {
		messages, err := other.batch(ctx, after)
		if err != nil || len(messages) == 0 { // the next try may have more luck
			return found
		}
		after = messages[len(messages)-1].Position
		for _, m := range messages {
			at, given := slices.BinarySearch(r.given, m.Position)
			if given {
				continue
			}
			found, r.torn = found+1, true
			r.given = slices.Insert(r.given, at, m.Position)
			r.log.holes.note(m.Position, &m)
			r.log.hole(bus.Hole{Span: bus.Span{From: m.Position, To: m.Position}, Found: 1})
		}
	}
	return found
}
