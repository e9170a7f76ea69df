package edge

import (
	"sync/atomic"
	"time"
)

// slot is one packet, encoded once as a WebSocket message for all listeners of the room. It never changes after it
// was put into the ring.
type slot struct {
	index   uint64 // its place in the ring's endless count
	message []byte // WebSocket header and packet
	session string // whose track it is: that session does not hear it
	track   string
	epoch   uint8
	first   uint32 // seqs it covers
	last    uint32
	at      int64 // monotonic ns of its arrival
	kept    bool  // the log of this region will have it
}

// ring holds the newest packets of a room, or what a player has for one socket. One goroutine puts; any number reads without a lock. It grows until it
// holds ringSpan of sound (bounded by ringMax slots), so that a slow listener is judged by time and not by a count.
type ring struct {
	slots atomic.Pointer[[]atomic.Pointer[slot]]
	head  atomic.Uint64 // index of the next slot to be put: the live edge
}

const (
	ringMin  = 256
	ringMax  = 1 << 15
	ringSpan = 2500 * time.Millisecond
)

func newRing() *ring {
	r := &ring{}
	slots := make([]atomic.Pointer[slot], ringMin)
	r.slots.Store(&slots)
	return r
}

// put makes s the newest slot. Only the hub's subscription calls it.
func (r *ring) put(s *slot) {
	slots := *r.slots.Load()
	head := r.head.Load()
	n := uint64(len(slots))
	if oldest := slots[head%n].Load(); oldest != nil && s.at-oldest.at < int64(ringSpan) && n < ringMax {
		grown := grow(slots, head) // its own variable: one that is stored lives on the heap, in every call
		r.slots.Store(&grown)
		slots, n = grown, uint64(len(grown))
	}
	s.index = head
	slots[head%n].Store(s)
	r.head.Store(head + 1)
}

// push is put for a private ring, which does not grow: its player never goes further than a lap ahead of its reader.
func (r *ring) push(s *slot) {
	slots := *r.slots.Load()
	head := r.head.Load()
	s.index = head
	slots[head%uint64(len(slots))].Store(s)
	r.head.Store(head + 1)
}

func grow(old []atomic.Pointer[slot], head uint64) []atomic.Pointer[slot] {
	slots := make([]atomic.Pointer[slot], 2*len(old))
	for i := range old {
		if s := old[i].Load(); s != nil && s.index < head {
			slots[s.index%uint64(len(slots))].Store(s)
		}
	}
	return slots
}

// get gives the slot at index, or nil when the ring has passed it (or it is not there yet).
func (r *ring) get(index uint64) *slot {
	slots := *r.slots.Load()
	if s := slots[index%uint64(len(slots))].Load(); s != nil && s.index == index {
		return s
	}
	return nil
}

// oldest is the lowest index still held.
func (r *ring) oldest() uint64 {
	head, n := r.head.Load(), uint64(len(*r.slots.Load()))
	if head <= n {
		return 0
	}
	return head - n
}

// tracks are those of which it has something.
func (r *ring) tracks() map[string]bool {
	all := map[string]bool{}
	head := r.head.Load()
	for i := r.oldest(); i < head; i++ {
		if s := r.get(i); s != nil {
			all[s.track] = true
		}
	}
	return all
}
