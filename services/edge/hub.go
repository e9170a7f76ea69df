package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/frame"
	"airloom/internal/room"
	"airloom/internal/subject"
)

const (
	rosterEvery = 100 * time.Millisecond // joins and leaves are gathered for so long
	maxHeld     = 100_000                // events held while the room is being folded
	openAgain   = 100 * time.Millisecond // between two readings of a room that is being opened
)

// hub is a room on this edge: one subscription, one ring, the fold of the room's events, and the sockets that follow
// it. It holds nothing that another edge could not rebuild from the log.
type hub struct {
	edge *Edge
	name string
	ring *ring
	reel *reel
	sub  *nats.Subscription

	shares []*share // one for each worker

	renewing atomic.Bool // the leader is being asked: see lease.go

	ready   chan struct{} // closed when opened or failed
	openErr error

	folds sync.Mutex // one fold at a time, else an older reading could replace a newer one; taken before mu

	mu       sync.Mutex // guards all below; never held during I/O
	state    *room.State
	whole    uint64   // up to this position the log has no event that the fold has not: see prove
	heard    []uint64 // positions of events folded behind that, as they were heard
	folding  bool     // events are held until the log has been read
	held     []*room.Event
	moved    chan struct{} // closed and made anew whenever the fold moves on
	conns    map[*conn]struct{}
	sessions map[string]*session
	leased   map[*track]struct{} // tracks of this edge whose packs go into the log
	speaking map[string]int64    // track -> monotonic ns of the last word that it speaks
	touched  map[string]struct{}
	pending  bool  // a roster message is due
	broken   error // an event did not decode: the fold stands still, and nobody is told what may be untrue
	users    int
	idle     int64 // monotonic ns since when nobody uses it
}

var errBroken = errors.New("this edge cannot read the room's events: it may be older than what wrote them")

func newHub(e *Edge, name string) *hub {
	h := &hub{
		edge: e, name: name, ring: newRing(), reel: e.tape.reel(name), ready: make(chan struct{}), folding: true,
		state: e.log.NewState(name), moved: make(chan struct{}), conns: map[*conn]struct{}{},
		sessions: map[string]*session{}, leased: map[*track]struct{}{}, speaking: map[string]int64{}, touched: map[string]struct{}{},
	}
	for _, w := range e.writers.workers {
		h.shares = append(h.shares, &share{worker: w})
	}
	return h
}

// open subscribes first and folds then, so that no event falls between the two. A log that chooses a new leader says at once that it is away: it is
// asked again until ctx ends.
func (h *hub) open(ctx context.Context) error {
	var err error
	if h.sub, err = h.edge.bus.Conn().Subscribe(subject.LiveRoom(h.name), h.hear); err != nil {
		return fmt.Errorf("subscribe to room %s: %w", h.name, err)
	}
	if err := h.sub.SetPendingLimits(100_000, 64<<20); err != nil {
		return fmt.Errorf("bound the subscription of room %s: %w", h.name, err)
	}
	for {
		err := h.fold(ctx)
		if !isAway(err) {
			return err
		}
		select {
		case <-time.After(openAgain):
		case <-ctx.Done():
			return err
		}
	}
}

// fold reads the room's events anew and applies what was heard meanwhile.
func (h *hub) fold(ctx context.Context) error {
	h.folds.Lock()
	defer h.folds.Unlock()
	h.mu.Lock()
	h.folding = true
	h.mu.Unlock()
	state, err := h.edge.log.Load(ctx, h.name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.state, h.whole, h.heard = state, state.Position, nil
	}
	held := h.held
	h.held, h.folding = nil, false
	if len(held) == maxHeld { // there may have been more
		h.edge.refoldSoon(h)
	}
	for _, e := range held {
		h.apply(e)
	}
	close(h.moved)
	h.moved = make(chan struct{})
	return err
}

// refold is fold after events were missed: everybody gets the whole roster, and sessions that ended meanwhile end here.
func (h *hub) refold(ctx context.Context) error {
	h.edge.metrics.lost.Add(1)
	if err := h.fold(ctx); err != nil {
		return fmt.Errorf("fold room %s anew: %w", h.name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broadcast(text(roomMessage{Type: "room", Room: h.state.Info()}))
	for _, roster := range h.fullRoster() {
		h.broadcast(text(roster))
	}
	for id, s := range h.sessions {
		h.review(s, h.state.Sessions[id])
		h.allow(s, "")
	}
	return nil
}

// review does for a session what the events would have done that were missed. The caller holds mu.
func (h *hub) review(s *session, known *room.Session) {
	if here := known != nil && known.LastEdge == h.edge.id; here {
		s.seated = true
	}
	switch {
	case !s.seated: // its joining or moving is under way
	case known == nil:
		s.end(closeRestart, "restart", "this session is over: join again")
	case known.Replaced:
		s.end(closeCodeOf(room.Replaced))
		h.edge.leave(h, s.id, room.Replaced)
	case h.state.Closed:
		h.edge.leave(h, s.id, room.RoomClosed)
	case known.LastEdge != h.edge.id:
		s.end(closeNormal, "", "moved")
	case known.Away:
		h.wasLost(s, known.AwayFor)
	}
}

// close ends the subscription; nobody uses the hub any more.
func (h *hub) close() {
	if h.sub != nil {
		_ = h.sub.Unsubscribe()
	}
	h.edge.tape.drop(h.reel)
}

// hear takes every message of the room: frames, committed events, speaking.
func (h *hub) hear(msg *nats.Msg) {
	p := subject.Parse(msg.Subject)
	switch p.Kind {
	case subject.Frames:
		h.packet(p, msg.Data)
	case subject.Fact:
		h.fact(p, msg)
	case subject.Speaks:
		h.speaks(p.Track, len(msg.Data) == 1 && msg.Data[0] == '1')
	default:
		h.edge.metrics.drop("bad_subject")
	}
}

// packet puts a live packet into the ring. A listener gets the bytes as the speaker's edge took them.
func (h *hub) packet(on subject.Parsed, data []byte) {
	var p frame.Packet
	if rest, err := frame.Parse(data, &p); err != nil || len(rest) > 0 || p.Flags&frame.Backlog != 0 {
		h.edge.metrics.drop("bad_packet")
		return
	}
	h.edge.metrics.packetsHeard.Add(1)
	s := &slot{message: message(opBinary, data), epoch: p.Epoch, first: p.Seq, last: p.Last(), at: nanotime(), track: on.Track}
	h.mu.Lock()
	s.kept = on.Region == h.edge.cfg.Region && h.state.Settings.Keep != room.KeepNone
	if known := h.state.Tracks[on.Track]; known != nil {
		s.session = known.Session
	}
	h.mu.Unlock()
	if s.kept {
		h.reel.heard.Store(s.at)
	}
	h.ring.put(s)
	for _, share := range h.shares {
		share.worker.wakeShare(share)
	}
}

func (h *hub) fact(p subject.Parsed, msg *nats.Msg) {
	if p.Region != h.edge.cfg.Region {
		return // of another region's log: its positions are none of this fold's
	}
	e, err := h.edge.log.DecodeRepublished(msg)
	if err != nil {
		h.edge.logger.Error("ALARM: event does not decode: this room's roster stands still", "room", h.name, "error", err)
		h.edge.metrics.drop("bad_event")
		h.mu.Lock()
		defer h.mu.Unlock()
		h.broken = fmt.Errorf("%w: %w", errBroken, err)
		return
	}
	before, _ := strconv.ParseUint(msg.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.folding {
		if len(h.held) < maxHeld {
			h.held = append(h.held, e)
		}
		return
	}
	if before > h.state.LastOn(p.Entity, p.ID) {
		h.edge.refoldSoon(h)
	}
	h.apply(e)
}

// apply folds an event and tells those concerned. The caller holds mu.
func (h *hub) apply(e *room.Event) {
	if e.Position <= h.state.Position || h.broken != nil {
		return
	}
	info := h.state.Info()
	touches := h.state.Touches(e)
	for _, id := range touches {
		h.touched[id] = struct{}{}
	}
	h.note(e)
	close(h.moved)
	h.moved = make(chan struct{})
	if now := h.state.Info(); now != info {
		h.broadcast(text(roomMessage{Type: "room", Room: now}))
		if now.Keep != info.Keep {
			for _, s := range h.sessions {
				s.setKept(now.Keep != room.KeepNone)
			}
		}
	}
	if kind, _ := e.Fact.Subject(); kind == "track" {
		h.tellRoster() // before the track's first frame
	} else {
		h.tellRosterSoon()
	}
	h.react(e, touches)
}

// note folds an event that was heard. What was missed before it does not show: see prove. The caller holds mu.
func (h *hub) note(e *room.Event) {
	h.state.Apply(e)
	h.heard = append(h.heard, e.Position)
	if len(h.heard) > maxHeld {
		h.edge.refoldSoon(h)
	}
}

func (h *hub) info() room.Info {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.Info()
}

// use counts one more user of an open hub.
func (h *hub) use() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users++
}
