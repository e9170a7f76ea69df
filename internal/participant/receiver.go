package participant

import (
	"airloom/internal/frame"
	"airloom/internal/room"
)

// Bounds on what the far side can make a Receiver keep.
const (
	maxTracks  = 1024 // tracks heard at once
	maxHoles   = 1024 // holes remembered in one epoch; beyond them the oldest is counted and forgotten
	holdFrames = 64   // frames waiting for an earlier one
	maxEarly   = 1024 // delays waiting for the track's clock
)

// Heard is one frame or one run of declared silence, in the order of (epoch, seq).
type Heard struct {
	Epoch     uint8
	Seq       uint32
	Timestamp uint32
	Samples   int    // of one seq, in 48 kHz samples
	Span      int    // seqs: 1 for a frame
	Payload   []byte // the Opus packet, nil for silence; valid only during the call
}

// Receiver puts what is heard in order: per track and epoch it drops doubles, counts, digests and measures the delay
// from capture to arrival. One goroutine at a time uses it (Participant sees to that).
type Receiver struct {
	// Deliver, when not nil, gets everything in order.
	Deliver func(*Incoming, Heard)
	// Refused counts packets that were not taken in: malformed ones, and those beyond the bounds.
	Refused uint64

	past   bool // what comes is from the past
	again  bool // and some of it was heard on another socket
	tracks map[uint32]*Incoming
	order  []*Incoming
	latest *Incoming
	packet frame.Packet
}

// NewReceiver makes a Receiver of nothing heard.
func NewReceiver() *Receiver { return &Receiver{tracks: map[uint32]*Incoming{}} }

// Message takes a binary message that arrived at unixMicro (µs since 1970).
func (r *Receiver) Message(message []byte, unixMicro int64) {
	for len(message) > 0 {
		rest, err := frame.Parse(message, &r.packet)
		message = rest
		if err != nil || !r.take(&r.packet, unixMicro) {
			r.Refused++
		}
	}
}

// Tracks are the tracks heard or announced, in that order.
func (r *Receiver) Tracks() []*Incoming { return r.order }

// Flush delivers what was held back for an earlier frame that has not come.
func (r *Receiver) Flush() {
	for _, t := range r.order {
		r.flush(t)
	}
}

// Announce names a track; whole says that it began after this listener came. It returns nil when there are
// too many tracks.
func (r *Receiver) Announce(info room.TrackInfo, identity, name string, whole bool) *Incoming {
	t := r.track(info.Handle)
	if t == nil {
		return nil
	}
	if !t.Known && whole {
		t.Whole, t.epoch.first = true, 0 // also when frames were faster than this news
	}
	t.Info, t.Identity, t.Name, t.Known, t.Ended = info, identity, name, true, false
	if info.Clock != nil {
		for _, m := range t.early {
			t.measure(m)
		}
		t.early = nil
	}
	return t
}

func (r *Receiver) track(handle uint32) *Incoming {
	if r.latest != nil && r.latest.Handle == handle {
		return r.latest
	}
	t := r.tracks[handle]
	if t == nil {
		if len(r.tracks) >= maxTracks {
			return nil
		}
		t = &Incoming{Handle: handle, digest: frame.NewDigest()}
		r.tracks[handle] = t
		r.order = append(r.order, t)
	}
	r.latest = t
	return t
}

func (r *Receiver) take(p *frame.Packet, unixMicro int64) bool {
	t := r.track(p.Handle)
	if t == nil || !r.renumber(t, p) {
		return false
	}
	if t.epoch.have.Len() > maxHoles {
		t.closeOldestHole()
	}
	if p.Kind == frame.Silence {
		r.silence(t, p)
		return true
	}
	for f := range p.Frames {
		switch past := p.Flags&frame.Backlog != 0; {
		case !r.frame(t, f, p.FrameSamples(), past):
		case past: // its arrival says nothing about delay
			t.Past++
		default:
			t.measure(moment{f.Timestamp, unixMicro})
		}
	}
	return true
}

// renumber makes the packet's epoch the one being heard; false where it is an earlier one.
func (r *Receiver) renumber(t *Incoming, p *frame.Packet) bool {
	e := &t.epoch
	switch {
	case e.begun && e.number == p.Epoch:
		e.samples = p.FrameSamples()
		return true
	case e.begun && p.Epoch < e.number:
		return false
	case e.begun:
		r.flush(t)
		t.past = t.Missing()
	}
	first := p.Seq
	if t.Whole || e.begun {
		first = 0 // every epoch is numbered from 0
	}
	*e = numbering{begun: true, number: p.Epoch, samples: p.FrameSamples(), first: first, next: int64(first)}
	return true
}

func (r *Receiver) silence(t *Incoming, p *frame.Packet) {
	e := &t.epoch
	from, to := max(int64(p.Seq), e.next), int64(p.Last())
	if from > to {
		return
	}
	t.Silent += e.have.Add(uint32(from), uint32(to))
	ahead := uint32(from) - p.Seq
	h := held{seq: uint32(from), timestamp: p.Timestamp + ahead*uint32(p.FrameSamples()), samples: p.FrameSamples(), span: int(to-from) + 1}
	r.place(t, h)
}

// frame counts and places one frame; news is false for one that was there before.
func (r *Receiver) frame(t *Incoming, f frame.Frame, samples int, past bool) (news bool) {
	e := &t.epoch
	if past && r.again && e.have.Contains(f.Seq) {
		return false
	}
	if int64(f.Seq) < e.next {
		if e.have.Contains(f.Seq) {
			t.Duplicates++
		} else {
			t.Late++
		}
		return false
	}
	if e.have.Add(f.Seq, f.Seq) == 0 {
		t.Duplicates++
		return false
	}
	t.Frames++
	t.Bytes += uint64(len(f.Payload))
	r.place(t, held{seq: f.Seq, timestamp: f.Timestamp, samples: samples, span: 1, payload: f.Payload})
	return true
}

// place delivers h when it is its turn, else keeps a copy of it.
func (r *Receiver) place(t *Incoming, h held) {
	e := &t.epoch
	if int64(h.seq) == e.next {
		r.deliver(t, h)
		if len(e.held) > 0 {
			r.advance(t, e.next)
		}
		return
	}
	h.payload = append([]byte(nil), h.payload...)
	i := len(e.held)
	for i > 0 && e.held[i-1].seq > h.seq {
		i--
	}
	e.held = append(e.held, held{})
	copy(e.held[i+1:], e.held[i:])
	e.held[i] = h
	if len(e.held) > holdFrames {
		r.advance(t, int64(e.held[0].seq))
	}
}

// advance gives up on what lies before seq and delivers what follows without a hole.
func (r *Receiver) advance(t *Incoming, seq int64) {
	e := &t.epoch
	e.next = max(e.next, seq)
	n := 0
	for n < len(e.held) && int64(e.held[n].seq) <= e.next {
		h := e.held[n]
		if known := int(e.next - int64(h.seq)); known < h.span {
			h.seq, h.span, h.timestamp = uint32(e.next), h.span-known, h.timestamp+uint32(known*h.samples)
			r.deliver(t, h)
		}
		n++
	}
	e.held = e.held[:copy(e.held, e.held[n:])]
}

func (r *Receiver) flush(t *Incoming) {
	for len(t.epoch.held) > 0 {
		r.advance(t, int64(t.epoch.held[0].seq))
	}
}

func (r *Receiver) deliver(t *Incoming, h held) {
	t.epoch.next = int64(h.seq) + int64(h.span)
	if len(h.payload) > 0 {
		t.digest.Add(h.payload)
	}
	if r.Deliver != nil {
		r.Deliver(t, Heard{Epoch: t.epoch.number, Seq: h.seq, Timestamp: h.timestamp, Samples: h.samples, Span: h.span, Payload: h.payload})
	}
}
