package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/bus"
)

const (
	outboxBytes  = 256 << 20               // all packs that wait, over all tracks
	outboxTrack  = 200                     // packs of one track that wait: 40 s of 20 ms frames
	awayAfter    = 1500 * time.Millisecond // a pack that waits so long means the log is away
	caughtUp     = 750 * time.Millisecond  // and when none waits that long, all that had waited is in the log
	resendFirst  = 1 * time.Second
	resendMost   = 4 * time.Second
	outboxWindow = 4096 // packs under way at once; the rest waits its turn
)

// pack is some packets of one track on their way into the log.
type pack struct {
	id          uint64
	track       *track
	epoch       uint8
	first, last uint32
	subject     string
	data        []byte
	traceparent string
	born        int64 // monotonic ns of its first frame's arrival
	sent        int64 // of its newest sending; 0: not yet
	wait        time.Duration
}

// outbox brings packs into the log: at least once, in any order, until each is acked. It is bounded; what does not fit
// is forgotten and asked of the speaker again when the log is back.
type outbox struct {
	bus     *bus.Bus
	inbox   string // replies arrive on <inbox>.<pack id>
	metrics *metrics
	tell    func(away bool)

	mu      sync.Mutex // guards all below
	next    uint64
	waiting map[uint64]*pack
	perTrk  map[*track]int
	bytes   int
	flight  int
	away    bool
	gone    chan struct{} // closed while the log is away
}

func newOutbox(b *bus.Bus, edge string, m *metrics, tell func(away bool)) *outbox {
	return &outbox{
		bus: b, inbox: bus.Edge.InboxPrefix() + "." + edge, metrics: m, tell: tell,
		waiting: map[uint64]*pack{}, perTrk: map[*track]int{}, gone: make(chan struct{}),
	}
}

// add takes a pack over. It returns false, and forgets the pack, when there is no room for it.
func (o *outbox) add(p *pack) bool {
	o.mu.Lock()
	if o.perTrk[p.track] >= outboxTrack || o.bytes+len(p.data) > outboxBytes {
		o.mu.Unlock()
		o.metrics.drop("outbox_full")
		return false
	}
	o.next++
	p.id, p.wait = o.next, resendFirst
	o.waiting[p.id] = p
	o.perTrk[p.track]++
	o.bytes += len(p.data)
	now := nanotime()
	underWay := o.flight < outboxWindow
	if underWay {
		o.flight++
		p.sent = now
	}
	o.metrics.outboxNow.Store(int64(len(o.waiting)))
	o.mu.Unlock()
	o.metrics.packs.Add(1)
	if underWay {
		o.send(p)
	}
	return true
}

func (o *outbox) send(p *pack) {
	msg := &nats.Msg{Subject: p.subject, Reply: o.inbox + "." + strconv.FormatUint(p.id, 10), Data: p.data}
	if p.traceparent != "" {
		msg.Header = nats.Header{"traceparent": []string{p.traceparent}}
	}
	_ = o.bus.PublishMsg(msg) // while NATS is away this fails at once; the retry sends it again
}

// run hears the log's answers and sends again what was not acked, until ctx ends.
func (o *outbox) run(ctx context.Context) error {
	sub, err := o.bus.Conn().Subscribe(o.inbox+".*", o.answer)
	if err != nil {
		return fmt.Errorf("subscribe to the log's acks: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			o.retry(nanotime())
		}
	}
}

func (o *outbox) answer(msg *nats.Msg) {
	id, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 10, 64)
	if err != nil {
		return
	}
	if !stored(msg) {
		o.metrics.drop("log_refused")
		return // sent again by retry
	}
	now := nanotime()
	o.mu.Lock()
	p := o.waiting[id]
	if p != nil {
		o.forget(p)
	}
	o.mu.Unlock()
	if p == nil {
		return // acked before: it was sent twice
	}
	o.metrics.acked.Add(1)
	o.metrics.ackSeconds.Record(context.Background(), time.Duration(now-p.born).Seconds())
	p.track.durable(p.epoch, p.first, p.last)
}

// stored tells a PubAck from a refusal and from "no responders".
func stored(msg *nats.Msg) bool {
	if len(msg.Data) == 0 || bytes.Contains(msg.Data, []byte(`"error"`)) {
		return false
	}
	var ack struct {
		Stream string `json:"stream"`
		Seq    uint64 `json:"seq"`
	}
	return json.Unmarshal(msg.Data, &ack) == nil && ack.Stream != "" && ack.Seq > 0
}

// forget takes a pack out. The caller holds mu.
func (o *outbox) forget(p *pack) {
	delete(o.waiting, p.id)
	o.bytes -= len(p.data)
	if o.perTrk[p.track]--; o.perTrk[p.track] == 0 {
		delete(o.perTrk, p.track)
	}
	if p.sent != 0 {
		o.flight--
	}
	o.metrics.outboxNow.Store(int64(len(o.waiting)))
}

// retry sends what is due, oldest first, and notices when the log goes away and comes back.
func (o *outbox) retry(now int64) {
	o.mu.Lock()
	var due []*pack
	oldest := now
	for _, p := range o.waiting {
		oldest = min(oldest, p.born)
		if p.sent == 0 || now-p.sent > int64(p.wait) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(a, b *pack) int { return int(int64(a.id) - int64(b.id)) })
	due = due[:min(len(due), outboxWindow)]
	for _, p := range due {
		if p.sent == 0 {
			o.flight++
		} else {
			o.metrics.resent.Add(1)
			p.wait = min(2*p.wait, resendMost)
		}
		p.sent = now
	}
	changed := false
	switch {
	case !o.away && now-oldest > int64(awayAfter):
		o.away, changed = true, true
		close(o.gone)
	case o.away && now-oldest < int64(caughtUp): // what waits now is fresh: a busy edge never has nothing under way
		o.away, changed = false, true
		o.gone = make(chan struct{})
	}
	away := o.away
	o.mu.Unlock()
	for _, p := range due {
		o.send(p)
	}
	if changed {
		o.tell(away)
	}
}

// giveUp forgets, unacked, the packs of a track that is closed: what the log had by then is what counts.
func (o *outbox) giveUp(track string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.waiting {
		if p.track.id == track {
			o.forget(p)
			o.metrics.drop("track_closed")
		}
	}
}

// hasRoom says whether it is worth asking a speaker for what was forgotten.
func (o *outbox) hasRoom(t *track) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.away && o.perTrk[t] <= outboxTrack/2 && o.bytes <= outboxBytes/2
}

func (o *outbox) isAway() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.away
}

// wentAway gives a channel that is closed while the log is away.
func (o *outbox) wentAway() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone
}

// empty says whether all is in the log.
func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) == 0
}
