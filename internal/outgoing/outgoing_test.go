package outgoing

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"airloom/internal/frame"

	"pgregory.net/rapid"
)

// opusFrame is a valid frame of 10 ms that says its number.
func opusFrame(n int) []byte { return append([]byte{8 << 3 & 0xf8}, fmt.Sprintf("frame %d", n)...) }

func init() {
	if d, err := frame.Duration(opusFrame(0)); err != nil || d != 480 {
		panic("opusFrame is to last 10 ms")
	}
}

// sink takes packets as an edge does: it keeps frames by seq and acks without holes.
type sink struct {
	have    frame.Ranges
	frames  map[uint32][]byte
	live    frame.Ranges
	lastLiv int64
}

func (s *sink) take(t interface{ Fatalf(string, ...any) }, message []byte) {
	var p frame.Packet
	for len(message) > 0 {
		rest, err := frame.Parse(message, &p)
		if err != nil {
			t.Fatalf("sent a bad packet: %v", err)
		}
		message = rest
		if p.Flags&frame.Backlog == 0 {
			if s.live.Add(p.Seq, p.Last()) != uint64(p.Count()) || int64(p.Seq) <= s.lastLiv {
				t.Fatalf("seqs %d to %d went live again or late (last %d)", p.Seq, p.Last(), s.lastLiv)
			}
			s.lastLiv = int64(p.Last())
		}
		s.have.Add(p.Seq, p.Last())
		for f := range p.Frames {
			if had := s.frames[f.Seq]; had != nil && !bytes.Equal(had, f.Payload) {
				t.Fatalf("frame %d has changed", f.Seq)
			}
			s.frames[f.Seq] = bytes.Clone(f.Payload)
		}
	}
}

// Whatever is lost on the way, everything arrives in the end, unaltered, and no frame goes live twice.
func TestOutgoingArrivesWhateverIsLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := New(7, 0, 4, 4096, false, time.Time{})
		o.late = rapid.Bool().Draw(t, "late")
		edge := &sink{frames: map[uint32][]byte{}, lastLiv: -1}
		now := time.Unix(1000, 0)
		want := map[uint32][]byte{}
		deliver := func(lost bool) bool {
			message := o.takeLive(nil, now)
			if len(message) == 0 {
				message = o.takeBacklog(nil, 20, true)
			}
			if len(message) > 0 && !lost {
				edge.take(t, message)
			}
			return len(message) > 0
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0, 1:
				n := int(o.next)
				if rapid.IntRange(0, 4).Draw(t, "silent") == 0 {
					o.Add(nil, false, now)
				} else {
					o.Add(opusFrame(n), n%2 == 0, now)
					want[uint32(n)] = opusFrame(n)
				}
			case 2:
				deliver(false)
			case 3:
				deliver(true)
			case 4:
				o.ack(edge.have.Through(0))
			case 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			case 6:
				o.resend(o.acked + 1)
			}
		}
		for round := 0; o.acked != o.next-1; round++ {
			if round > 10000 {
				t.Fatalf("stuck: acked %d of %d, live %d, back %d to %d", o.acked, o.next, o.live, o.back, o.backEnd)
			}
			o.silent = false // as when the track ends
			if !deliver(false) && !o.ack(edge.have.Through(0)) {
				o.resend(o.acked + 1)
			}
		}
		if len(edge.frames) != len(want) {
			t.Fatalf("%d frames arrived, want %d", len(edge.frames), len(want))
		}
		for seq, payload := range want {
			if !bytes.Equal(edge.frames[seq], payload) {
				t.Fatalf("frame %d arrived altered", seq)
			}
		}
		if o.AckedAudio() != uint64(len(want)) {
			t.Fatalf("%d frames count as acked, want %d", o.AckedAudio(), len(want))
		}
	})
}

func TestOutgoingGivesUpTheOldestWhenFull(t *testing.T) {
	o := New(7, 0, 4, 10, false, time.Time{})
	now := time.Unix(1000, 0)
	for n := range 15 {
		o.Add(opusFrame(n), false, now)
		o.takeLive(nil, now)
	}
	if o.dropped != 5 || o.first != 5 {
		t.Fatalf("dropped %d, first %d, want 5 and 5", o.dropped, o.first)
	}
	if from, to := o.resend(0); from != 0 || to != 5 {
		t.Errorf("lost %d to %d, want 0 to 5", from, to)
	}
	edge := &sink{frames: map[uint32][]byte{}, lastLiv: -1}
	edge.take(t, o.takeBacklog(nil, 100, false))
	if len(edge.frames) != 10 || edge.frames[5] == nil {
		t.Errorf("%d frames sent again, want those from 5 to 14", len(edge.frames))
	}
	if !o.ack(14) || o.AckedAudio() != 10 {
		t.Errorf("%d count as acked, want 10", o.AckedAudio())
	}
}

func TestBacklogIsPacedByAcks(t *testing.T) {
	o := New(7, 0, 4, 1000, false, time.Time{})
	o.late = true
	now := time.Unix(1000, 0)
	for n := range 500 {
		o.Add(opusFrame(n), false, now)
	}
	sent := func() (n int) {
		for {
			var p frame.Packet
			message := o.takeBacklog(nil, 120, false)
			if len(message) == 0 {
				return n
			}
			if _, err := frame.Parse(message, &p); err != nil {
				t.Fatal(err)
			}
			n += p.Count()
		}
	}
	if n := sent(); n != 120 {
		t.Errorf("%d frames on their way, want 120", n)
	}
	o.ack(49)
	if n := sent(); n != 50 {
		t.Errorf("%d more after an ack of 50, want 50", n)
	}
}

// An edge has room for 200 packets of a track: voice and silence in turns must not make more.
func TestBacklogPacketsAreBounded(t *testing.T) {
	o := New(7, 0, 4, 1000, false, time.Time{})
	o.late = true
	now := time.Unix(1000, 0)
	for n := range 500 {
		o.Add(opusFrame(n)[:n%2*5], false, now)
	}
	n := 0
	for len(o.takeBacklog(nil, 500, false)) > 0 {
		n++
	}
	if n != maxFlying {
		t.Errorf("%d packets on their way, want %d", n, maxFlying)
	}
	o.ack(9)
	for len(o.takeBacklog(nil, 500, false)) > 0 {
		n++
	}
	if n != maxFlying+10 {
		t.Errorf("%d packets after an ack of 10, want 10 more", n)
	}
}

func TestSilenceIsGathered(t *testing.T) {
	o := New(7, 0, 8, 1000, false, time.Time{})
	now := time.Unix(1000, 0)
	var spans []int
	take := func() {
		var p frame.Packet
		if message := o.takeLive(nil, now); len(message) > 0 {
			if _, err := frame.Parse(message, &p); err != nil {
				t.Fatal(err)
			}
			if p.Kind == frame.Silence {
				spans = append(spans, p.Count())
			}
		}
	}
	for range 25 {
		o.Add(nil, false, now)
		take()
	}
	o.Add(append([]byte{9 << 3}, "voice"...), true, now) // 20 ms
	take()
	take()
	if fmt.Sprint(spans) != "[1 10 10 4]" {
		t.Errorf("silence was declared in runs of %v, want [1 10 10 4]", spans)
	}
}
