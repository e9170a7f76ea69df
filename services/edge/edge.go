// Package edge is the door of airloom: WebSocket and HTTP. It takes frames from speakers and gives them to NATS at once,
// packs them for the log, and fans packets out to listeners.
//
// An edge owns sockets and the sessions that hold them, and nothing that another edge could not rebuild from the log:
// no room lives here.
package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Edge is one incarnation of an edge: a new one has a new id.
type Edge struct {
	cfg     Config
	id      string
	bus     *bus.Bus
	log     *eventlog.Log
	logger  *slog.Logger
	metrics *metrics
	limits  limits
	writers *writers
	outbox  *outbox
	tape    *tape

	draining atomic.Bool
	natsLost atomic.Int64 // monotonic ns since when NATS is away; 0: it is there

	mu      sync.Mutex // guards hubs, sockets, tracks, joins
	hubs    map[string]*hub
	sockets map[*socket]struct{}
	tracks  map[*track]struct{}
	joins   map[string]*rate.Limiter // by identity

	ctx     context.Context // of all background work; ends when Run has drained
	stop    context.CancelFunc
	refolds chan *hub
	asking  chan struct{} // places for questions of the log's leader

	starting sync.Mutex // guards stopped, and work against being added to while it is waited for
	stopped  bool
	work     sync.WaitGroup
}

// New checks the configuration and readies an edge; Run makes it work.
func New(cfg Config, b *bus.Bus, logger *slog.Logger) (*Edge, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure edge: %w", err)
	}
	m, err := newMetrics()
	if err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	id := newID()
	e := &Edge{
		cfg: cfg, id: id, bus: b, logger: logger.With("edge", id), metrics: m,
		log:    eventlog.New(b, cfg.Region, id, cfg.Defaults, logger),
		limits: defaultLimits(),
		hubs:   map[string]*hub{}, sockets: map[*socket]struct{}{}, tracks: map[*track]struct{}{},
		joins: map[string]*rate.Limiter{}, refolds: make(chan *hub, 1024), asking: make(chan struct{}, maxAsking),
	}
	e.writers = newWriters(m, &e.limits)
	e.ctx, e.stop = context.WithCancel(context.Background())
	e.tape = newTape(e.ctx, b, cfg.Region, m)
	e.outbox = newOutbox(busCarrier{b}, id, m, e.tellLog)
	return e, nil
}

// ID names this incarnation.
func (e *Edge) ID() string { return e.id }

// Log is the event log as this edge writes it.
func (e *Edge) Log() *eventlog.Log { return e.log }

// Run works until ctx ends, then drains: no new sockets, those there are told to move, what was begun is finished.
func (e *Edge) Run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(e.ctx)
	group.Go(func() error { return e.writers.run(groupCtx) })
	group.Go(func() error { return e.outbox.run(groupCtx) })
	group.Go(func() error { e.tick(groupCtx); return nil })
	group.Go(func() error { e.heartbeat(groupCtx); return nil })
	group.Go(func() error { e.mend(groupCtx); return nil })
	group.Go(func() error { e.keepLeases(groupCtx); return nil })
	select {
	case <-ctx.Done():
		e.drain(context.WithoutCancel(ctx))
	case <-groupCtx.Done():
	}
	e.stop()
	err := group.Wait()
	e.shut()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// shut ends what is left after the drain, and waits for it.
func (e *Edge) shut() {
	e.draining.Store(true) // it may not have come to a drain
	for _, s := range e.socketsNow() {
		s.conn.cut()
	}
	e.mu.Lock()
	for _, h := range e.hubs {
		h.close()
	}
	e.mu.Unlock()
	e.starting.Lock()
	e.stopped = true
	e.starting.Unlock()
	e.work.Wait()
}

var errStopped = errors.New("this edge has stopped")

// background runs f until it is done; its context ends when the edge stops, and Run waits for it. It returns false when the
// edge has stopped already: timers and NATS may call so late.
func (e *Edge) background(f func(ctx context.Context)) bool {
	e.starting.Lock()
	defer e.starting.Unlock()
	if e.stopped {
		return false
	}
	e.work.Add(1)
	go func() {
		defer e.work.Done()
		f(e.ctx)
	}()
	return true
}

// openHub gives the room's hub, opening it when this edge does not have it, and counts its user.
func (e *Edge) openHub(ctx context.Context, name string) (*hub, error) {
	e.mu.Lock()
	h := e.hubs[name]
	if h == nil {
		h = newHub(e, name)
		e.hubs[name] = h
		e.metrics.rooms.Store(int64(len(e.hubs)))
		e.background(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
			defer cancel()
			h.openErr = h.open(ctx)
			close(h.ready)
		})
	}
	h.mu.Lock()
	h.users++
	h.mu.Unlock()
	e.mu.Unlock()
	select {
	case <-h.ready:
	case <-ctx.Done():
		e.releaseHub(h)
		return nil, fmt.Errorf("open room %s: %w: %w", name, eventlog.ErrAway, ctx.Err())
	}
	if h.openErr != nil {
		e.releaseHub(h)
		return nil, fmt.Errorf("open room %s: %w", name, h.openErr)
	}
	return h, nil
}

func (e *Edge) releaseHub(h *hub) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.users--
	h.idle = nanotime()
}

// sweep closes hubs that nobody has used for a while, and those that could not be opened.
func (e *Edge) sweep(now int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for name, h := range e.hubs {
		h.mu.Lock()
		unused := h.users == 0 && now-h.idle > int64(e.limits.linger)
		h.mu.Unlock()
		if failed := isClosed(h.ready) && h.openErr != nil; unused || failed {
			h.close()
			delete(e.hubs, name)
		}
	}
	e.metrics.rooms.Store(int64(len(e.hubs)))
	for identity, limiter := range e.joins {
		if limiter.Tokens() >= joinBurst {
			delete(e.joins, identity)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// leave appends that a session has ended, going on until the log has it or says that it is over already.
func (e *Edge) leave(h *hub, id string, why room.Reason) {
	e.until(h, "leave", func(s *room.State) (room.Draft, error) { return s.Leave(id, why) })
}

// until decides in the background until the log answers. What follows from the log's own state is no failure.
func (e *Edge) until(h *hub, what string, decide func(*room.State) (room.Draft, error)) {
	e.untilThen(h, what, decide, func() {})
}

// untilThen is until, and calls then once the log has the event or shows that it is not needed.
func (e *Edge) untilThen(h *hub, what string, decide func(*room.State) (room.Draft, error), then func()) {
	e.background(func(ctx context.Context) {
		h.use()
		defer e.releaseHub(h)
		for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
			attempt, cancel := context.WithTimeout(ctx, 3*time.Second)
			err := h.decide(attempt, "", decide)
			late := attempt.Err() != nil
			cancel()
			if err == nil || !late && !errors.Is(err, eventlog.ErrAway) && !isConflict(err) {
				then()
				return
			}
			e.logger.Warn("event waits for the log", "event", what, "room", h.name, "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait):
			}
		}
	})
}

// heartbeat tells presence once a second that this incarnation lives.
func (e *Edge) heartbeat(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		beat, _ := json.Marshal(map[string]any{
			"edge": e.id, "region": e.cfg.Region, "sessions": e.metrics.sessions.Load(), "unix_us": time.Now().UnixMicro(),
		})
		_ = e.bus.Publish(subject.Heartbeat(e.cfg.Region, e.id), beat) // the next one is a second away
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Ready says whether new participants are welcome: NATS has been there within 10 s and the edge is not draining.
func (e *Edge) Ready() error {
	if e.draining.Load() {
		return errors.New("draining")
	}
	if since := e.natsLost.Load(); since != 0 && nanotime()-since > int64(10*time.Second) {
		return errors.New("NATS has been away for more than 10 s")
	}
	return nil
}

func (e *Edge) watchNATS(now int64) {
	switch {
	case e.bus.Up():
		e.natsLost.Store(0)
	case e.natsLost.Load() == 0:
		e.natsLost.Store(now)
	}
}
