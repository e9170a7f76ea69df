package edge

import (
	"strconv"
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
	outboxWindow = 4096             // packs under way at once; the rest waits its turn
	heldMost     = 30 * time.Second // a pack that is stored waits so long for the word that its track is open
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
	position    uint64 // where the log has it, by the PubAck; 0: not known to be stored
	storedAt    int64  // monotonic ns of that PubAck
	behind      uint64 // a position that the log had given away before the pack was made
}

// underWay says that the log has been given the pack and has not answered.
func (p *pack) underWay() bool { return p.sent != 0 && p.position == 0 }

// outbox brings packs into the log: at least once, in any order, until each is acked. It is bounded; what does not fit
// is forgotten and asked of the speaker again when the log is back.
type outbox struct {
	log      carrier
	inbox    string // replies arrive on <inbox>.<pack id>
	metrics  *metrics
	tell     func(away bool)
	perTrack int // packs of one track that may wait

	mu      sync.Mutex // guards all below
	next    uint64
	newest  uint64 // position of a PubAck
	waiting map[uint64]*pack
	perTrk  map[*track]int
	held    map[*track]int // packs that are stored and not acked: see lease.go
	bytes   int
	flight  int
	away    bool
	gone    chan struct{} // closed while the log is away
}

func newOutbox(log carrier, edge string, m *metrics, tell func(away bool)) *outbox {
	return &outbox{
		log: log, inbox: bus.Edge.InboxPrefix() + "." + edge, metrics: m, tell: tell, perTrack: outboxTrack,
		waiting: map[uint64]*pack{}, perTrk: map[*track]int{}, held: map[*track]int{}, gone: make(chan struct{}),
	}
}

// add takes a pack over. It returns false, and forgets the pack, when there is no room for it.
func (o *outbox) add(p *pack) bool {
	o.mu.Lock()
	if o.perTrk[p.track] >= o.perTrack || o.bytes+len(p.data) > outboxBytes {
		o.mu.Unlock()
		o.metrics.drop("outbox_full")
		return false
	}
	o.next++
	p.id, p.wait, p.behind = o.next, resendFirst, o.newest
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
	_ = o.log.PublishMsg(msg) // while NATS is away this fails at once; the retry sends it again
}

// forget takes a pack out. The caller holds mu.
func (o *outbox) forget(p *pack) {
	delete(o.waiting, p.id)
	o.bytes -= len(p.data)
	if o.perTrk[p.track]--; o.perTrk[p.track] == 0 {
		delete(o.perTrk, p.track)
	}
	if p.underWay() {
		o.flight--
	}
	if p.position != 0 {
		if o.held[p.track]--; o.held[p.track] == 0 {
			delete(o.held, p.track)
		}
	}
	o.metrics.outboxNow.Store(int64(len(o.waiting)))
}

// hasRoom says whether it is worth asking a speaker for what was forgotten.
func (o *outbox) hasRoom(t *track) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.away && o.perTrk[t] <= o.perTrack/2 && o.bytes <= outboxBytes/2
}

// has says whether packs of a track wait.
func (o *outbox) has(t *track) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.perTrk[t] > 0
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
