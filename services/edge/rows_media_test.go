package edge

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// stage is a room with one speaker with a track, and one listener.
type stage struct {
	*door
	t        *testing.T
	speaker  *peer
	listener *peer
	track    *inMessage
}

func newStage(t *testing.T) *stage {
	t.Helper()
	d := newHouse(t).edge(nil)
	s := &stage{door: d, t: t}
	s.listener, _ = d.join("hall", "listener", nil)
	s.speaker, _ = d.join("hall", "speaker", nil)
	s.track = s.speaker.track()
	return s
}

// say sends the frames from..to, one packet each.
func (s *stage) say(from, to uint32) {
	s.t.Helper()
	for seq := from; seq <= to; seq++ {
		s.speaker.sendAudio(audio(s.t, s.track.Handle, 0, seq, 1, 0))
	}
}

// raw is a single-frame packet with any payload.
func raw(handle uint32, seq uint32, payload []byte) []byte {
	b := append([]byte{1 << 6}, binary.BigEndian.AppendUint32(nil, handle)...)
	b = append(b, 0)
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, seq*frameSamples)
	if n := len(payload); n >= 252 {
		first := 252 + n%4
		b = append(b, byte(first), byte((n-first)/4))
	} else {
		b = append(b, byte(n))
	}
	return append(b, payload...)
}

func TestRow60BadOpus(t *testing.T) {
	t.Parallel()
	toc := byte(9 << 3)
	for name, payload := range map[string][]byte{
		"one byte":               {toc},
		"code 3, no frames":      {toc | 3, 0, 0},
		"code 3, 63 frames":      append([]byte{toc | 3, 63}, make([]byte, 63)...),
		"140 ms":                 append([]byte{toc | 3, 7}, make([]byte, 7)...),
		"code 1, odd":            {toc | 1, 1, 2, 3},
		"padding beyond the end": {toc | 3, 0x41, 255, 255, 1},
		"code 2 beyond the end":  {toc | 2, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.say(0, 2)
			s.speaker.sendAudio(raw(s.track.Handle, 3, payload))
			s.say(4, 9)
			m := s.speaker.findType("error")
			if m.Code != "bad_opus" || m.Fatal {
				t.Errorf("answered with %+v", *m)
			}
			s.speaker.waitAck(s.track.Track, 0, 9) // the gap is declared, so the ack goes on
			var gaps []room.GapDeclared
			until(t, "the gap is in the log", func() bool { gaps = s.state("hall").Tracks[s.track.Track].Gaps; return len(gaps) == 1 })
			if g := gaps[0]; g.From != 3 || g.To != 3 || g.Reason != room.Rejected {
				t.Errorf("gap %+v", g)
			}
			s.speaker.stays()
			until(t, "the listener has the others", func() bool { return len(s.listener.heard()) == 9 })
		})
	}
}

// The very first packet may be a bad one.
func TestRow60BadOpusFirst(t *testing.T) {
	s := newStage(t)
	s.speaker.sendAudio(raw(s.track.Handle, 0, []byte{1}))
	s.say(1, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// An empty payload and a frame that is too long are refused as packets.
func TestRow60EmptyAndTooLong(t *testing.T) {
	s := newStage(t)
	s.speaker.sendAudio(raw(s.track.Handle, 0, nil))
	s.speaker.stays()
	long := make([]byte, 1276)
	long[0] = 9 << 3
	s.speaker.sendAudio(raw(s.track.Handle, 1, long)) // its length cannot be written: 252 bytes are a frame, the rest no packet
	s.speaker.endsWith(1003)
	if n := len(s.listener.heard()); n != 1 {
		t.Errorf("%d packets are heard", n)
	}
}

func TestRow61NotOpusAtAll(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	text := []byte("\xff" + strings.Repeat("This is text, and no Opus. ", 3))
	text[0] = 3 // code 3 with a count that the length belies
	for seq := range uint32(80) {
		s.speaker.tryAudio(raw(s.track.Handle, seq, text))
	}
	s.speaker.endsWith(1003)
	if n := len(s.listener.heard()); n != 0 {
		t.Errorf("%d packets are heard", n)
	}
}

func TestRow62DuplicateFrames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	acks := func() int { return s.speaker.count(func(m *inMessage) bool { return m.Type == "ack" && m.Seq == 9 }) }
	before := acks()
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 10, frame.Backlog))
	until(t, "the ack comes again", func() bool { return acks() > before })
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 5, 1, 0)) // live and late: the listener has it
	s.speaker.stays()
	s.listener.stays()
	if n := len(s.listener.heard()); n != 10 {
		t.Errorf("%d packets are heard", n)
	}
	if n := s.logged(); n != 10 {
		t.Errorf("%d frames are in the log", n)
	}
}

// logged counts the frames in the audio log.
func (s *stage) logged() int {
	return len(s.packs(s.t, "hall", s.track.Track))
}

// packs gives seq -> payload of all frames of epoch 0 of a track in the audio log; doubled ones count once.
func (d *door) packs(t testing.TB, name, track string) map[uint32][]byte {
	t.Helper()
	frames := map[uint32][]byte{}
	for _, data := range d.logMessages(t) {
		for len(data) > 0 {
			var p frame.Packet
			rest, err := frame.Parse(data, &p)
			if err != nil {
				t.Fatal(err)
			}
			if frame.TrackID(p.Handle) == track && p.Epoch == 0 {
				for f := range p.Frames {
					if had := frames[f.Seq]; had != nil && !bytes.Equal(had, f.Payload) {
						t.Fatalf("seq %d is in the log with two contents", f.Seq)
					}
					frames[f.Seq] = bytes.Clone(f.Payload)
				}
			}
			data = rest
		}
	}
	return frames
}

func TestRow64And66SeqsAndEpochsBackwards(t *testing.T) {
	s := newStage(t)
	s.say(0, 4)
	s.speaker.sendAudio(audio(t, s.track.Handle, 2, 0, 1, 0)) // a new epoch needs no permission (docs/wire.md)
	s.speaker.sendAudio(audio(t, s.track.Handle, 1, 0, 1, 0))
	if m := s.speaker.findType("error"); m.Code != "bad_seq" {
		t.Errorf("an older epoch is answered with %+v", *m)
	}
	s.speaker.stays()
	last, err := frame.AppendAudio(nil, frame.Header{Handle: s.track.Handle, Epoch: 2, Seq: frame.MaxSeq, Timestamp: 0}, opus(1, 9))
	if err != nil {
		t.Fatal(err)
	}
	beyond := append([]byte(nil), last...)
	beyond[0] |= byte(frame.Pack)
	beyond = append(beyond[:14], append([]byte{2, 9, 9}, append(opus(1, 9), opus(2, 9)...)...)...)
	s.speaker.sendAudio(beyond)
	s.speaker.find("bad_seq", func(m *inMessage) bool { return m.Code == "bad_seq" && strings.Contains(m.Message, "2³²") })
	s.speaker.stays()
	s.listener.stays()
	if n := len(s.listener.heard()); n != 6 {
		t.Errorf("%d packets are heard", n)
	}
}

func TestRow65Jumps(t *testing.T) {
	s := newStage(t)
	s.say(0, 0)
	s.say(1000, 1000) // 20 s: a hole
	s.speaker.stays()
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 1_000_000, 1, frame.Backlog)) // backlog is exempt, the clock is not
	s.speaker.stays()
	s.speaker.tryAudio(audio(t, s.track.Handle, 0, 1_000_000, 1, 0))
	s.speaker.tryAudio(audio(t, s.track.Handle, 0, 1001, 1, 0)) // the socket may be gone by now
	s.speaker.tryAudio(audio(t, s.track.Handle, 0, 2_000_000, 1, 0))
	s.speaker.endsWith(1008)
}

func TestRow65JumpAtTheStart(t *testing.T) {
	s := newStage(t)
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 1_000_000, 1, 0))
	s.speaker.endsWith(1008)
}

func TestRow67Timestamps(t *testing.T) {
	s := newStage(t)
	at := func(seq, timestamp uint32) []byte {
		b, err := frame.AppendAudio(nil, frame.Header{Handle: s.track.Handle, Seq: seq, Timestamp: timestamp}, opus(seq, 40))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	start := ^uint32(0) - 2*frameSamples // wraps soon
	for seq := range uint32(5) {
		s.speaker.sendAudio(at(seq, start+seq*frameSamples))
	}
	s.speaker.sendAudio(at(5, start+4*frameSamples))                    // does not advance: kept
	s.speaker.sendAudio(at(6, start+6*frameSamples+9*frame.SampleRate)) // 9 s off: kept
	s.speaker.stays()
	s.speaker.sendAudio(at(7, start+7*frameSamples+11*frame.SampleRate))
	if m := s.speaker.findType("error"); m.Code != "bad_timestamp" || m.Fatal {
		t.Errorf("11 s off is answered with %+v", *m)
	}
	s.speaker.stays()
	until(t, "seven are heard", func() bool { return len(s.listener.heard()) == 7 })
}

func TestRows68And69Rate(t *testing.T) {
	t.Parallel()
	t.Run("a burst of five seconds passes", func(t *testing.T) {
		s := newStage(t)
		s.say(0, 249)
		s.speaker.stays()
		s.speaker.waitAck(s.track.Track, 0, 249)
	})
	t.Run("ten times the rate does not", func(t *testing.T) {
		s := newStage(t)
		for seq := range uint32(1000) {
			s.speaker.tryAudio(audio(t, s.track.Handle, 0, seq, 1, 0))
		}
		s.speaker.find("rate", func(m *inMessage) bool { return m.Code == "rate" })
		s.speaker.endsWith(1008)
	})
	t.Run("nor does a flood of silence", func(t *testing.T) {
		s := newStage(t)
		for seq := range uint32(1000) {
			b, err := frame.AppendSilence(nil, frame.Header{Handle: s.track.Handle, Seq: seq, Timestamp: seq * frameSamples}, 1, 8)
			if err != nil {
				t.Fatal(err)
			}
			s.speaker.tryAudio(b)
		}
		s.speaker.endsWith(1008)
	})
	t.Run("backlog is paced by acks alone", func(t *testing.T) {
		s := newStage(t)
		for seq := uint32(0); seq < 2000; seq += 50 {
			s.speaker.sendAudio(audio(t, s.track.Handle, 0, seq, 50, frame.Backlog))
		}
		s.speaker.waitAck(s.track.Track, 0, 1999)
		if n := len(s.listener.heard()); n != 0 {
			t.Errorf("%d backlog packets are heard live", n)
		}
	})
}

// A packet of 17 bytes may declare 21 minutes of silence. What a speaker claims so costs everybody who reads it, and is bounded.
func TestSilenceIsBoundedByWhatItClaims(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const span = 60_000 // 20 minutes
	for i := range uint32(18) {
		s.speaker.sendAudio(mustSilence(t, s.track.Handle, i*span, span))
	}
	s.speaker.stays()
	for i := uint32(18); i < 18+4; i++ { // the 60 s a second that come back meanwhile are no 20 minutes
		s.speaker.tryAudio(mustSilence(t, s.track.Handle, i*span, span))
	}
	s.speaker.find("rate", func(m *inMessage) bool { return m.Code == "rate" && m.Fatal })
	if code := s.speaker.ends(); code != closePolicy {
		t.Errorf("closed with %d", code)
	}
}

func TestRow70SomebodyElsesTrack(t *testing.T) {
	s := newStage(t)
	thief, _ := s.join("hall", "thief", nil)
	thief.sendAudio(audio(t, s.track.Handle, 0, 0, 1, 0))
	thief.endsWith(4403)
	unknown, _ := s.join("hall", "lost", nil)
	unknown.sendAudio(audio(t, s.track.Handle^1, 0, 0, 1, 0))
	if m := unknown.findType("error"); m.Code != "unknown_track" || m.Fatal {
		t.Errorf("a handle of nobody is answered with %+v", *m)
	}
	if n := len(s.listener.heard()); n != 0 {
		t.Errorf("%d packets are heard", n)
	}
}

func TestRow74UnknownVersion(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]byte{"version 0": 0 << 6, "version 2": 2 << 6, "version 3": 3 << 6} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			b := audio(t, s.track.Handle, 0, 0, 1, 0)
			b[0] = b[0]&0x3F | first
			s.speaker.sendAudio(b)
			s.speaker.endsWith(1003)
		})
	}
	t.Run("unknown kind", func(t *testing.T) {
		s := newStage(t)
		b := audio(t, s.track.Handle, 0, 0, 1, 0)
		b[0] |= 2 << 4
		s.speaker.sendAudio(b)
		if m := s.speaker.findType("error"); m.Code != "bad_packet" || m.Fatal {
			t.Errorf("answered with %+v", *m)
		}
	})
}

// One bad packet does not cost the message it came in.
func TestGoodPacketsAroundABadOne(t *testing.T) {
	s := newStage(t)
	var b []byte
	b = append(b, audio(t, s.track.Handle, 0, 0, 1, 0)...)
	b = append(b, raw(s.track.Handle, 1, []byte{1})...)
	b = append(b, audio(t, s.track.Handle, 0, 2, 3, 0)...)
	s.speaker.sendAudio(b)
	until(t, "both good packets are heard", func() bool { return len(s.listener.heard()) == 2 })
	s.say(5, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
}

// Row 30: a peer that reads nothing is closed after a while, and nobody else notices.
func TestRow30NeverReads(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.stuck, e.limits.patience = 300*time.Millisecond, 100*time.Millisecond })
	stuck := d.connect(dialSmall(t, d.addr))
	id := d.h.token("stuck", nil)
	stuck.request("hello", helloFields("hall", id, nil))
	until(t, "the stuck one is in", func() bool { return len(d.state("hall").Sessions) == 1 })
	other, _ := d.join("hall", "other", nil)
	speaker, _ := d.join("hall", "speaker", nil)
	track := speaker.track()
	var seq uint32
	within(t, 20*time.Second, "the stuck socket is closed", func() bool {
		speaker.sendAudio(bigAudio(t, track.Handle, seq, 6))
		seq += 6
		d.refill(speaker)
		return d.metrics.slowClosed.Load() == 1
	})
	until(t, "the other one has all", func() bool { return len(other.heard()) == int(seq/6) })
	if d.metrics.skipped.Load() == 0 {
		t.Error("nothing was skipped")
	}
	until(t, "its session shows as away", func() bool {
		for _, s := range d.state("hall").Sessions {
			if s.Identity == "stuck" {
				return s.Away
			}
		}
		return false
	})
}

// bigAudio is a pack of long frames.
func bigAudio(t testing.TB, handle, seq uint32, count int) []byte {
	t.Helper()
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = opus(seq+uint32(i), 1200)
	}
	b, err := frame.AppendAudio(nil, frame.Header{Handle: handle, Seq: seq, Timestamp: seq * frameSamples}, frames...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// refill gives a speaker's tracks their burst again: a test speaks faster than a person.
func (d *door) refill(p *peer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for t := range d.tracks {
		t.mu.Lock()
		t.limiter.SetLimit(rate.Inf)
		t.mu.Unlock()
	}
}

// Row 31: the cable is pulled. The roster shows the session as away; on resume it is back.
func TestRow31HalfOpen(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) {
		e.limits.ping, e.limits.dead, e.limits.away = 500*time.Millisecond, time.Second, 100*time.Millisecond
	})
	watch, _ := d.join("hall", "watch", nil)
	p := d.connect(nil)
	p.deaf = true
	d.start(p)
	w := p.hello("hall", d.h.token("cable", nil), nil)
	away := func(is bool) func(*inMessage) bool {
		return func(m *inMessage) bool {
			for _, one := range m.Participants {
				if one.Session == w.Session && one.Away == is {
					return true
				}
			}
			return false
		}
	}
	watch.find("it shows as away", away(true))
	if got := p.ends(); got != 0 {
		t.Errorf("closed with %d", got)
	}
	at := watch.count(away(false))
	_, again := d.join("hall", "cable", fields{"resume": w.Resume})
	if !again.Resumed || again.Session != w.Session {
		t.Fatalf("welcome %+v", *again)
	}
	until(t, "it is back", func() bool { return watch.count(away(false)) > at })
}

// A speaker that was without a connection has gone on counting: its first live frame may leave out that time.
func TestJumpAfterAnOutage(t *testing.T) {
	s := newStage(t)
	s.say(0, 0)
	until(t, "the first frame is taken", func() bool { return len(s.listener.heard()) == 1 })
	var own *track
	for _, session := range s.openHubs()[0].sessionsNow() {
		if found := session.trackByID(s.track.Track); found != nil {
			own = found
		}
	}
	own.mu.Lock()
	own.liveAt -= int64(35 * time.Second)
	own.mu.Unlock()
	s.say(2000, 2000) // 40 s on
	s.speaker.stays()
	until(t, "it is heard", func() bool { return len(s.listener.heard()) == 2 })
	s.speaker.tryAudio(audio(t, s.track.Handle, 0, 4000, 1, 0))
	s.speaker.endsWith(1008)
}

// Row 63: a speaker with two tongues. The first frame stays, and somebody is told.
func TestRow63Equivocation(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 9)
	tr := s.leaseOf()
	s.speaker.waitAck(s.track.Track, 0, 9)
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 10, frame.Backlog)) // the same again
	s.speaker.stays()
	clashed := func() bool { tr.mu.Lock(); defer tr.mu.Unlock(); return tr.clashAt != 0 }
	if clashed() {
		t.Fatal("the same bytes twice are told as two tongues")
	}
	s.speaker.sendAudio(raw(s.track.Handle, 4, opus(99, 40)))
	until(t, "it is told", clashed)
	s.speaker.stays()
	if got := s.packs(t, "hall", s.track.Track)[4]; !bytes.Equal(got, opus(4, 40)) {
		t.Errorf("the log has %x", got)
	}
}
