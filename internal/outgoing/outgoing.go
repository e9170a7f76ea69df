// Package outgoing is what a speaker holds of a track until the log has it: the frames that are not acked, how far each was sent, and
// what goes out next. It is pure: no clock, no lock, no I/O; internal/participant guards it and gives it a socket.
package outgoing

import (
	"time"

	"airloom/internal/frame"
)

const (
	// MessageBytes bounds what one message carries; the wire allows 8 KiB.
	MessageBytes = 6 << 10
	// packFrames bounds the frames of a packet.
	packFrames = 50
	// maxSpan bounds the seqs of a silence packet.
	maxSpan = 1<<16 - 1
	// silenceRun is how many silent seqs are declared at once while silence lasts (the first goes out alone).
	silenceRun = 10
	// lateAfter is the age from which a frame that was not sent yet is no longer for live listeners.
	lateAfter = time.Second
	// maxFlying bounds the backlog packets on their way unacked: an edge keeps each as it came until the log has it, and
	// has room for 200 of a track.
	maxFlying = 64
)

// Track is one track's frames. Seqs are int64 here so that −1 and "after the last" have a place.
//
//	first ≤ acked+1      oldest frame kept
//	[back, backEnd)      to be sent (again) flagged Backlog
//	[live, next)         not sent yet
type Track struct {
	handle uint32
	epoch  uint8
	unit   uint8 // frame duration in 2.5 ms
	late   bool  // everything goes as Backlog

	slots         []slot
	first, next   int64
	acked         int64
	live          int64
	back, backEnd int64
	flying        []int64 // last seqs of backlog packets on their way, in order

	silent  bool   // the newest live seq sent was a silent one
	audio   uint64 // audio frames added
	bytes   uint64
	resent  uint64 // audio frames sent more than once
	dropped uint64 // audio frames pushed out before they were acked
	passed  uint64 // audio frames let go because the room kept nothing

	passing bool // the room keeps nothing
	ending  bool
	logAway bool
	moved   time.Time // when an ack last brought news, or something was asked for
}

type slot struct {
	payload []byte // empty: silence
	voice   bool
	sent    bool
	due     time.Time
}

// New is a track without frames. unit is a frame's duration in 2.5 ms, capacity how many frames are kept until they are acked.
// One that is late goes as backlog, whole.
func New(handle uint32, epoch, unit uint8, capacity int, late bool, now time.Time) *Track {
	return &Track{handle: handle, epoch: epoch, unit: unit, late: late, acked: -1, slots: make([]slot, capacity), moved: now}
}

func (o *Track) slot(seq int64) *slot { return &o.slots[seq%int64(len(o.slots))] }

// Add takes a copy of the next frame; an empty payload is a silent one. When all slots are full the oldest frame is
// forgotten: Full says beforehand.
func (o *Track) Add(payload []byte, voice bool, due time.Time) {
	if o.Full() {
		o.forget()
	}
	s := o.slot(o.next)
	s.payload = append(s.payload[:0], payload...)
	s.voice, s.sent, s.due = voice, false, due
	if len(payload) > 0 {
		o.audio++
		o.bytes += uint64(len(payload))
	}
	o.next++
	if o.late {
		o.live, o.backEnd = o.next, o.next
	}
	if o.late && o.passing {
		o.pass(o.next)
	}
}

// Full says that Add would forget a frame.
func (o *Track) Full() bool { return o.next-o.first == int64(len(o.slots)) }

func (o *Track) forget() {
	if len(o.slot(o.first).payload) > 0 {
		o.dropped++
	}
	o.first++
	o.live = max(o.live, o.first)
	o.back = max(o.back, o.first)
	o.backEnd = max(o.backEnd, o.back)
}

// ack says that everything up to seq is durable.
func (o *Track) ack(seq int64) (news bool) {
	if seq <= o.acked || seq >= o.next {
		return false
	}
	o.acked = seq
	for len(o.flying) > 0 && o.flying[0] <= seq {
		o.flying = o.flying[1:]
	}
	o.first = max(o.first, seq+1)
	o.back = max(o.back, o.first)
	o.backEnd = max(o.backEnd, o.back)
	o.live = max(o.live, o.first)
	return true
}

// resend asks for everything from seq on that was sent before. The seqs from..to−1 are no longer here; there are none
// when from ≥ to.
func (o *Track) resend(seq int64) (from, to int64) {
	seq = max(seq, o.acked+1)
	if seq >= o.live {
		return 0, 0
	}
	o.back = max(seq, o.first)
	o.backEnd = max(o.backEnd, o.live)
	o.flying = nil
	return seq, o.first
}

// liveRun is the run of seqs to be sent live next, empty when nothing is due. Frames that waited too long become
// backlog first.
func (o *Track) liveRun(now time.Time) (from, to int64) {
	stale := o.live
	for stale < o.next && now.Sub(o.slot(stale).due) > lateAfter {
		stale++
	}
	if stale > o.live && o.passing {
		o.pass(stale)
	}
	if stale > o.live {
		if o.back == o.backEnd {
			o.back = o.live
		}
		o.live, o.backEnd = stale, stale
	}
	to = o.run(o.live, o.next)
	if n := to - o.live; n > 0 && o.silent && to == o.next && n < silenceRun && len(o.slot(o.live).payload) == 0 {
		return 0, 0 // silence goes on: gather some
	}
	return o.live, to
}

// takeLive appends the next live packet to dst; dst comes back as it was when there is none.
func (o *Track) takeLive(dst []byte, now time.Time) []byte {
	from, to := o.liveRun(now)
	if from == to {
		return dst
	}
	o.live = to
	o.silent = len(o.slot(from).payload) == 0
	dst = o.encode(dst, from, to, 0)
	if o.passing {
		o.pass(to)
	}
	return dst
}

// takeBacklog appends the next backlog packet to dst while at most window seqs, and not too many packets, are on their
// way unacked. Of a track that is late altogether it gathers full packets; all says that no more frames will come.
func (o *Track) takeBacklog(dst []byte, window int, all bool) []byte {
	limit := min(o.backEnd, o.acked+1+int64(window))
	if o.back >= limit || len(o.flying) >= maxFlying || o.late && !all && !o.Full() && o.next-o.back < packFrames {
		return dst
	}
	from, to := o.back, o.run(o.back, limit)
	o.back = to
	o.flying = append(o.flying, to-1)
	return o.encode(dst, from, to, frame.Backlog)
}

// run is the end of the longest run from..to that makes one packet: all audio within the bounds, or all silent.
func (o *Track) run(from, to int64) int64 {
	if from >= to {
		return from
	}
	silent := len(o.slot(from).payload) == 0
	bytes, seq := 0, from
	for ; seq < to; seq++ {
		s := o.slot(seq)
		bytes += len(s.payload) + 2
		if silent != (len(s.payload) == 0) || silent && seq-from == maxSpan {
			break
		}
		if !silent && seq > from && (bytes > MessageBytes || seq-from == packFrames) {
			break
		}
	}
	return seq
}

func (o *Track) encode(dst []byte, from, to int64, flags frame.Flags) []byte {
	h := frame.Header{
		Flags: flags, Handle: o.handle, Epoch: o.epoch, Seq: uint32(from),
		Timestamp: uint32(from) * uint32(o.unit) * frame.UnitSamples,
	}
	if len(o.slot(from).payload) == 0 {
		for seq := from; seq < to; seq++ {
			o.slot(seq).sent = true
		}
		return mustEncode(frame.AppendSilence(dst, h, uint16(to-from), o.unit))
	}
	var payloads [packFrames][]byte
	n := 0
	for seq := from; seq < to; seq++ {
		s := o.slot(seq)
		payloads[n] = s.payload
		n++
		if s.voice {
			h.Flags |= frame.Voice
		}
		if s.sent {
			o.resent++
		}
		s.sent = true
	}
	return mustEncode(frame.AppendAudio(dst, h, payloads[:n]...))
}

// mustEncode holds because whoever adds a frame has checked every frame and run keeps the bounds.
func mustEncode(packet []byte, err error) []byte {
	if err != nil {
		panic("outgoing: encode own frames: " + err.Error())
	}
	return packet
}

// SentAll tells whether every frame was sent at least once and no backlog is waiting.
func (o *Track) SentAll() bool { return o.live == o.next && o.back == o.backEnd }

// AckedAudio counts the audio frames that are acked; dropped ones never are.
func (o *Track) AckedAudio() uint64 {
	n := o.audio - o.dropped - o.passed
	for seq := o.first; seq < o.next; seq++ {
		if len(o.slot(seq).payload) > 0 {
			n--
		}
	}
	return n
}
