package edge

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// A track that is over is closed by a fact, which says up to where in the log it counts. Of packs whose PubAck was lost or is late the
// edge does not know then whether the log has them, and nor does their speaker, who waits. So the edge looks: what is there is acked,
// and then the speaker is told how much of its track counts, and that no ack follows.

const (
	settlePacks = 1000            // of one read
	settleReads = 64              // of one look nearby
	settleBack  = 3 * time.Minute // before its end: longer than a speaker keeps what is not acked
	settlePause = time.Second     // after which a replica that is behind may have caught up
	settleMost  = 8 * time.Second // between looks while a replica is away, or the log's leader does not answer
	settleAgain = 4               // looks, each of which asks eight replicas, where the leader lacks something, too
	settleLooks = 32              // looks for what the leader counts
)

// settling is a track that is closed, or ends in a room that closes none, and of which something is not known to be in the log.
type settling struct {
	track   *track
	doubt   bool   // packs of it have no PubAck,
	behind  uint64 // and lie behind this position, if anywhere
	ended   time.Time
	through uint64 // what lies behind this position does not count
}

// closed takes the word that a track counts up to a position. It gives what is to be settled. The caller holds mu.
func (h *hub) closed(id string, through uint64) (open []settling) {
	behind := h.edge.outbox.closed(id, through)
	for t := range h.leased {
		if t.id != id {
			continue
		}
		delete(h.leased, t)
		if t.session.isOver() {
			continue // nobody is here to be told
		}
		s := settling{track: t, through: through}
		s.behind, s.doubt = behind[t]
		if known := h.state.Tracks[id]; known != nil {
			s.ended = known.EndedAt
			t.expect(known)
		}
		open = append(open, s)
	}
	return open
}

func (h *hub) settleSoon(open []settling) {
	for _, s := range open {
		h.edge.background(func(ctx context.Context) { h.edge.settle(ctx, s) })
	}
}

// settle looks for what is not known to be in the log, nearby first, and tells the speaker how its track ended. What is missing it tells only
// once it is as sure as a recorder: else the recording would have what its speaker was told is lost.
func (e *Edge) settle(ctx context.Context, s settling) {
	near := []jetstreamext.GetBatchOpt{jetstreamext.GetBatchStartTime(s.ended.Add(-settleBack))}
	if s.doubt {
		near = append([]jetstreamext.GetBatchOpt{jetstreamext.GetBatchSeq(s.behind + 1)}, near...)
	}
	for len(near) > 0 && s.open() {
		if err := e.lookFor(s, near[0]); err == nil {
			near = near[1:]
		} else if pause(ctx, settlePause) != nil { // the log is away: its speaker waits, as for every ack
			return
		}
	}
	var l lookout
	for wait := settlePause; s.open() && !e.lookThrough(ctx, s, &l); {
		if pause(ctx, wait) != nil {
			return
		}
		if wait = min(2*wait, settleMost); !l.away && !l.unknown {
			wait = settlePause
		}
	}
	if missing := s.track.tellClosed(); missing > 0 {
		e.metrics.drop("track_closed")
		e.logger.Warn("a track was closed without some of its frames: its speaker is told", "room", s.track.session.hub.name,
			"track", s.track.id, "missing", missing)
	}
}

// open says that something may be missing that counts, and that somebody is here to be told.
func (s settling) open() bool { return s.through > 0 && !s.track.whole() && !s.track.session.isOver() }

// lookout is what came of looking through a track's packs.
type lookout struct {
	looks   int  // with all replicas there
	away    bool // a replica is away that alone may have what is missing: looking again brings nothing
	unknown bool // the leader or the log did not answer: looking would tell nothing
}

// lookThrough reads all of a track's packs and says whether what was not found is lost: the log's leader lacks nothing and had no more to give,
// or no replica had, in several looks with all of them there. Where one is away it is waited for, as recorders do, after one look at what the others
// have. The leader is asked first: a track may be long, and without the leader's word nothing follows from having read it.
func (e *Edge) lookThrough(ctx context.Context, s settling, l *lookout) (sure bool) {
	filter := subject.LogTrack(s.track.session.hub.name, s.track.id)
	stand, err := bus.Standing(ctx, e.tape.bus.JetStream(), subject.LogStream(e.tape.region), filter)
	if l.unknown = err != nil || s.through != math.MaxUint64 && stand.Last < s.through; l.unknown { // a leader that was just chosen may lag
		return false
	}
	away := !stand.Whole && !stand.Current
	if away && l.away {
		return false
	}
	read, err := e.readThrough(s, stand.Last)
	if l.unknown = err != nil; l.unknown {
		return false
	}
	if l.away = away; away {
		return false
	}
	l.looks++
	if read < stand.Count { // it is counted, and may still not be readable anywhere
		return l.looks >= settleLooks
	}
	return stand.Whole || l.looks >= settleAgain
}

// readThrough reads all that any replica has of a track, acks what counts, and gives the number of its packs up to a position: what came after the
// leader counted them must not stand for one that is missing. It ends where there is nothing more to look for.
func (e *Edge) readThrough(s settling, counted uint64) (read uint64, err error) {
	filter := subject.LogTrack(s.track.session.hub.name, s.track.id)
	for from := uint64(1); s.open(); {
		whole, err := e.tape.fetchWhole(filter, settlePacks, from, false)
		if err != nil {
			return read, err
		}
		for _, msg := range whole.got {
			s.count(msg)
			if from = msg.Sequence + 1; msg.Sequence <= counted {
				read++
			}
		}
		if whole.head || len(whole.got) == 0 {
			return read, nil
		}
	}
	return read, nil
}

// count acks a pack if it counts.
func (s settling) count(msg *jetstream.RawStreamMsg) {
	if msg.Sequence > s.through {
		return
	}
	for _, p := range s.track.session.hub.reel.take(msg) {
		s.track.durable(p.epoch, p.first, p.last)
	}
}

// lookFor reads a track's packs from a place on and acks what counts.
func (e *Edge) lookFor(s settling, where jetstreamext.GetBatchOpt) error {
	t := s.track
	filter := subject.LogTrack(t.session.hub.name, t.id)
	for range settleReads {
		got, head, err := e.tape.fetch(filter, settlePacks, where)
		if err != nil {
			return err
		}
		for _, msg := range got {
			if msg.Sequence > s.through {
				return nil
			}
			s.count(msg)
		}
		if head || len(got) == 0 || !s.open() {
			return nil
		}
		where = jetstreamext.GetBatchSeq(got[len(got)-1].Sequence + 1)
	}
	return nil
}

// closingMissed settles tracks whose closing was missed, or will not be: the fold knows which, the log says up to where they count.
func (h *hub) closingMissed(ctx context.Context, ids []string) {
	for _, id := range ids {
		through, err := h.throughOf(ctx, id)
		if err != nil {
			return // the log is away: the next answer of its leader comes back to it
		}
		h.mu.Lock()
		open := h.closed(id, through)
		h.mu.Unlock()
		h.settleSoon(open)
	}
}

var errFound = errors.New("found")

// throughOf reads up to where in the log a closed track counts, 0 where it is not known at all.
func (h *hub) throughOf(ctx context.Context, id string) (through uint64, err error) {
	h.mu.Lock()
	known := h.state.Tracks[id]
	if known == nil {
		h.mu.Unlock()
		return 0, nil
	}
	began, closed := known.Order, known.Closed
	h.mu.Unlock()
	if !closed { // no recorder does: what the log has is kept
		return math.MaxUint64, nil
	}
	err = h.edge.log.Events(ctx, h.name, began, func(e *room.Event) error {
		if f, ok := e.Fact.(room.TrackClosed); ok && f.Track == id {
			through = f.Through
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return through, err
}
