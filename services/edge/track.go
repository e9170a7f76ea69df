package edge

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"airloom/internal/frame"
	"airloom/internal/plant"
	"airloom/internal/room"
	"airloom/internal/subject"
)

const (
	packFrames  = 10
	packEvery   = 200 * time.Millisecond
	maxJump     = 30 * frame.SampleRate // samples of a hole in live frames
	maxSkew     = 10 * frame.SampleRate // samples a timestamp may be off
	maxBurst    = 10                    // seconds of live frames at once: what a frozen edge finds before its speakers give it up
	voiceHold   = 500 * time.Millisecond
	voiceRepeat = time.Second
	maxHoles    = 1000 // ranges of one epoch: a speaker that makes more is up to no good
	maxSilence  = 6 * time.Hour
	silenceRate = 60 // seconds of declared silence a second, once maxSilence is used up
)

// track is the speaker's side of a track on this edge.
type track struct {
	edge    *Edge
	id      string
	handle  uint32
	name    string
	session *session

	liveSubject, logSubject, speakSubject string

	known atomic.Pointer[moment] // when the log's leader was last asked and knew the track as open; nil: never

	mu      sync.Mutex // guards all below
	epoch   uint8      // the newest
	begun   bool       // a packet of the newest epoch has come
	liveAt  int64      // when the newest live packet came
	next    int64      // seq after the newest live one; -1: not known, for it was another edge that heard it
	base    mark       // seq and timestamp of the newest epoch's first packet
	unit    uint8      // frame duration in 2.5 ms units; 0: not known yet
	epochs  map[uint8]*epochLog
	kept    bool // frames go to the log
	builder *frame.Builder
	opened  int64 // arrival of the builder's first frame
	flags   frame.Flags
	limiter *rate.Limiter
	silence *rate.Limiter // in ms: a packet of silence costs its sender nothing, and may cover any time
	traceAt int64
	voiceAt int64 // of the newest frame with the VOICE flag
	speaks  bool
	saidAt  int64
	ending  bool // live frames are over; backlog may still come
	late    bool // its end waits for a log that is away: see session.endLater
	ended   bool
	owed    bool          // its speaker waits for the word how it ended, also where it is acked as far as it is known here
	unread  bool          // how far it went is not known here: the log says it, once the track is closed
	gaps    int           // that the speaker has declared
	clashAt int64         // when an equivocation was last logged
	moved   chan struct{} // closed by the next ack; nil: nobody waits for it
}

type mark struct{ seq, timestamp uint32 }

// epochLog is what this edge knows of one epoch's seqs.
type epochLog struct {
	received frame.Ranges // taken from the speaker
	durable  frame.Ranges // in the log, or declared missing
	owed     frame.Ranges // received, and not durable, when the room stopped keeping its sound
	acked    int64        // all up to here is durable; -1: nothing
	lost     int64        // lowest seq that the outbox had no room for, or gave up; -1: none
	told     int64        // monotonic ns of the last ack
	due      bool         // there is more to tell
	prints   *prints      // of the newest frames; nil: none yet
}

func newTrack(s *session, info room.TrackInfo) *track {
	e, region, name := s.edge, s.edge.cfg.Region, s.hub.name
	unit := uint8(info.FrameMS / 2.5)
	perSecond := 400 / float64(max(unit, 1))
	t := &track{
		edge: e, id: info.Track, handle: info.Handle, name: info.Name, session: s, epoch: info.Epoch, unit: unit,
		liveSubject: subject.Live(region, name, info.Track), logSubject: subject.Log(region, name, info.Track),
		speakSubject: subject.Speaking(region, name, info.Track),
		epochs:       map[uint8]*epochLog{info.Epoch: newEpochLog(-1)}, liveAt: nanotime(),
		limiter: rate.NewLimiter(rate.Limit(1.25*perSecond), int(maxBurst*perSecond)),
		silence: rate.NewLimiter(silenceRate*1000, int(maxSilence.Milliseconds())),
	}
	t.newBuilder()
	return t
}

func newEpochLog(acked int64) *epochLog {
	l := &epochLog{acked: acked, lost: -1}
	if acked >= 0 {
		l.received.Add(0, uint32(acked))
		l.durable.Add(0, uint32(acked))
	}
	return l
}

func (t *track) newBuilder() {
	t.builder = &frame.Builder{Handle: t.handle, Epoch: t.epoch, MaxFrames: packFrames}
}

// take checks one packet from the speaker and brings it on its two ways: live at once, and packed into the log.
func (t *track) take(p *frame.Packet, now int64) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended && p.Flags&frame.Backlog != 0 {
		t.edge.metrics.drop("track_over") // its speaker does not know yet that it need not send again
		return nil
	}
	if t.ended || t.ending && p.Flags&frame.Backlog == 0 {
		return strike("unknown_track", "track %s has ended", t.id)
	}
	log, r := t.check(p, now)
	if r != nil {
		return r
	}
	t.look(log, p, now)
	if log.received.Add(p.Seq, p.Last()) == 0 { // it is here already: say again how far the log is
		log.due = log.acked >= 0
		return nil
	}
	t.edge.metrics.framesIn.Add(int64(p.Count()))
	backlog := p.Flags&frame.Backlog != 0
	if !backlog {
		t.live(p, now)
	}
	if t.kept {
		t.keep(p, backlog, now)
	} else {
		log.durable.Add(p.Seq, p.Last()) // nothing is kept: nothing is ever asked of the log
	}
	return nil
}

// check holds a packet against the numbering, the clock and the rate of its track.
func (t *track) check(p *frame.Packet, now int64) (*epochLog, *refusal) {
	backlog := p.Flags&frame.Backlog != 0
	switch {
	case t.unit != 0 && p.Unit != t.unit:
		return nil, strike("bad_opus", "frames of this track last %g ms, this one %g ms", float64(t.unit)*2.5, float64(p.Unit)*2.5)
	case p.Epoch < t.epoch && !backlog:
		return nil, strike("bad_seq", "epoch %d is over", p.Epoch)
	case !backlog && !t.limiter.AllowN(start.Add(time.Duration(now)), tokens(p)):
		return nil, refuse("rate", closePolicy, "more frames a second than this track's frame duration allows")
	case p.Kind == frame.Silence && !t.silence.AllowN(start.Add(time.Duration(now)), p.Count()*p.FrameSamples()*1000/frame.SampleRate):
		return nil, refuse("rate", closePolicy, "more than %g hours of silence at once, and then %d s a second", maxSilence.Hours(), silenceRate)
	case p.Epoch > t.epoch:
		t.begin(p.Epoch)
	}
	log := t.epochs[p.Epoch]
	if log == nil {
		return nil, strike("bad_seq", "epoch %d is not known here", p.Epoch)
	}
	if log.received.Len() > maxHoles {
		return nil, refuse("rate", closePolicy, "too many holes in this track's numbering")
	}
	if p.Epoch != t.epoch {
		return log, nil
	}
	if !t.begun {
		t.begun, t.unit, t.base = true, p.Unit, mark{p.Seq, p.Timestamp}
	}
	samples := p.FrameSamples()
	expected := t.base.timestamp + (p.Seq-t.base.seq)*uint32(samples)
	if off := frame.Elapsed(expected, p.Timestamp); off > maxSkew || off < -maxSkew {
		return nil, strike("bad_timestamp", "the timestamp is %d s from where its seq puts it", off/frame.SampleRate)
	}
	if !backlog && t.next >= 0 && int64(p.Seq)-t.next > t.jump(now)/int64(samples) {
		return nil, refuse("bad_seq", closePolicy, "a jump of more than 30 s: declare a gap or begin a new epoch")
	}
	return log, nil
}

// jump is how many samples a live packet may leave out: 30 s, and the time since the last one, which a speaker without
// a connection has gone on counting.
func (t *track) jump(now int64) int64 {
	return maxJump + (now-t.liveAt)/int64(time.Second/frame.SampleRate)
}

// tokens is what a live packet costs: declared silence may cover any time, and costs as much as a frame.
func tokens(p *frame.Packet) int {
	if p.Kind == frame.Silence {
		return 1
	}
	return p.Count()
}

// begin starts a new epoch; what is unacked of older ones may still come as backlog.
func (t *track) begin(epoch uint8) {
	t.flush(nanotime())
	t.epoch, t.begun, t.next = epoch, false, -1
	t.epochs[epoch] = newEpochLog(-1)
	t.newBuilder()
	if len(t.epochs) > 4 { // the oldest epochs are given up
		for old := range t.epochs {
			if int(old) < int(epoch)-3 {
				delete(t.epochs, old)
			}
		}
	}
}

// recall takes the speaker's word, after its session has moved here, how far an epoch is acked.
func (t *track) recall(epoch uint8, acked int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if epoch > t.epoch {
		t.epoch = epoch
		t.newBuilder()
	}
	t.epochs[epoch] = newEpochLog(acked)
}

// live sends the packet to listeners.
func (t *track) live(p *frame.Packet, now int64) {
	t.next, t.liveAt = max(t.next, int64(p.Last())+1), now
	_ = t.edge.bus.Publish(t.liveSubject, p.Raw()) // while NATS is away live sound is lost, never late
	if p.Flags&frame.Voice != 0 && p.Kind == frame.Audio {
		t.voiceAt = now
		if !t.speaks {
			t.say(true, now)
		}
	}
}

func (t *track) say(speaks bool, now int64) {
	t.speaks, t.saidAt = speaks, now
	word := []byte{'0'}
	if speaks {
		word[0] = '1'
	}
	_ = t.edge.bus.Publish(t.speakSubject, word)
}

// keep brings a packet towards the log: frames packed by ten, silence and backlog as they came.
func (t *track) keep(p *frame.Packet, backlog bool, now int64) {
	if p.Kind == frame.Silence || backlog {
		if !backlog {
			t.flush(now)
		}
		t.post(append([]byte(nil), p.Raw()...), p.Epoch, p.Seq, p.Last(), now)
		return
	}
	for f := range p.Frames {
		if !t.builder.Fits(f, p.Flags) {
			t.flush(now)
		}
		if t.builder.Count() == 0 {
			t.opened = now
		}
		full, err := t.builder.Add(f, p.Flags)
		if err != nil { // the packet was parsed: this cannot be
			t.edge.metrics.drop("bad_opus")
			continue
		}
		if full {
			t.flush(now)
		}
	}
}

// flush closes the open pack.
func (t *track) flush(int64) {
	n := t.builder.Count()
	if n == 0 {
		return
	}
	first := t.builder.Seq()
	t.post(t.builder.Take(), t.epoch, first, first+uint32(n)-1, t.opened)
}

// post gives a pack to the outbox, with the trace of one pack in five seconds.
func (t *track) post(data []byte, epoch uint8, first, last uint32, born int64) {
	p := &pack{track: t, epoch: epoch, first: first, last: last, subject: t.logSubject, data: data, born: born}
	if born-t.traceAt > int64(5*time.Second) || t.traceAt == 0 {
		t.traceAt = born
		p.traceparent = t.session.tracePack(t, epoch, first, last)
	}
	taken, log := t.edge.outbox.add(p), t.epochs[epoch]
	switch {
	case log == nil:
	case !taken:
		log.lose(first)
	case taken && plant.On(plant.AckEarly):
		log.durable.Add(first, last)
		t.advance(epoch, log, born)
	}
}
