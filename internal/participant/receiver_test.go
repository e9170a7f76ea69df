package participant

import (
	"math/rand/v2"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"

	"pgregory.net/rapid"
)

func packet(t testing.TB, handle uint32, epoch uint8, seq int, payloads ...[]byte) []byte {
	t.Helper()
	b, err := frame.AppendAudio(nil, frame.Header{Handle: handle, Epoch: epoch, Seq: uint32(seq), Timestamp: uint32(seq) * 480}, payloads...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func silence(t testing.TB, handle uint32, seq, span int) []byte {
	t.Helper()
	b, err := frame.AppendSilence(nil, frame.Header{Handle: handle, Seq: uint32(seq), Timestamp: uint32(seq) * 480}, uint16(span), 4)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func digestOf(frames ...[]byte) string {
	d := frame.NewDigest()
	for _, f := range frames {
		d.Add(f)
	}
	return d.Sum()
}

func TestReceiverCounts(t *testing.T) {
	f := opusFrame
	for name, c := range map[string]struct {
		in                           [][]byte
		frames, missing, double, sil uint64
		digest                       string
	}{
		"in order":    {[][]byte{packet(t, 1, 0, 0, f(0)), packet(t, 1, 0, 1, f(1), f(2))}, 3, 0, 0, 0, digestOf(f(0), f(1), f(2))},
		"doubled":     {[][]byte{packet(t, 1, 0, 0, f(0), f(1)), packet(t, 1, 0, 1, f(1), f(2))}, 3, 0, 1, 0, digestOf(f(0), f(1), f(2))},
		"swapped":     {[][]byte{packet(t, 1, 0, 0, f(0)), packet(t, 1, 0, 2, f(2)), packet(t, 1, 0, 1, f(1))}, 3, 0, 0, 0, digestOf(f(0), f(1), f(2))},
		"a hole":      {[][]byte{packet(t, 1, 0, 0, f(0)), packet(t, 1, 0, 3, f(3))}, 2, 2, 0, 0, digestOf(f(0), f(3))},
		"silence":     {[][]byte{packet(t, 1, 0, 0, f(0)), silence(t, 1, 1, 5), packet(t, 1, 0, 6, f(6))}, 2, 0, 0, 5, digestOf(f(0), f(6))},
		"silence x2":  {[][]byte{silence(t, 1, 0, 5), silence(t, 1, 2, 5), packet(t, 1, 0, 7, f(7))}, 1, 0, 0, 7, digestOf(f(7))},
		"joined late": {[][]byte{packet(t, 1, 0, 900, f(900)), packet(t, 1, 0, 901, f(901))}, 2, 0, 0, 0, digestOf(f(900), f(901))},
		"new epoch":   {[][]byte{packet(t, 1, 0, 0, f(0)), packet(t, 1, 0, 2, f(2)), packet(t, 1, 1, 0, f(9))}, 3, 1, 0, 0, digestOf(f(0), f(2), f(9))},
		"old epoch":   {[][]byte{packet(t, 1, 1, 0, f(0)), packet(t, 1, 0, 0, f(5))}, 1, 0, 0, 0, digestOf(f(0))},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewReceiver()
			for _, message := range c.in {
				r.Message(message, 0)
			}
			r.Flush()
			h := r.Tracks()[0]
			if h.Frames != c.frames || h.Missing() != c.missing || h.Duplicates != c.double || h.Silent != c.sil {
				t.Errorf("frames %d, missing %d, doubled %d, silent %d, want %d %d %d %d",
					h.Frames, h.Missing(), h.Duplicates, h.Silent, c.frames, c.missing, c.double, c.sil)
			}
			if h.Digest() != c.digest {
				t.Error("the digest differs")
			}
		})
	}
}

// Doubles and disorder within the bounds change nothing of what is delivered.
func TestReceiverRestoresOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(rt, "frames")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		var order []int
		for i := range n {
			order = append(order, i)
			if random.IntN(5) == 0 {
				order = append(order, random.IntN(i+1)) // again
			}
		}
		for rest := order; len(rest) > 0; rest = rest[min(30, len(rest)):] { // within the frames that a Receiver holds
			block := rest[:min(30, len(rest))]
			random.Shuffle(len(block), func(i, j int) { block[i], block[j] = block[j], block[i] })
		}
		r := NewReceiver()
		r.Announce(room.TrackInfo{Handle: 1}, "ada", "Ada", true)
		next := uint32(0)
		r.Deliver = func(_ *Incoming, h Heard) {
			if h.Seq != next {
				rt.Fatalf("delivered %d, want %d", h.Seq, next)
			}
			next++
		}
		want := frame.NewDigest()
		for i := range n {
			want.Add(opusFrame(i))
		}
		for _, seq := range order {
			r.Message(packet(t, 1, 0, seq, opusFrame(seq)), 0)
		}
		r.Flush()
		h := r.Tracks()[0]
		if h.Missing() != 0 || h.Late != 0 || h.Frames != uint64(n) || h.Duplicates != uint64(len(order)-n) || h.Digest() != want.Sum() {
			rt.Fatalf("frames %d missing %d late %d doubled %d of %d", h.Frames, h.Missing(), h.Late, h.Duplicates, n)
		}
	})
}

func TestReceiverSkips(t *testing.T) {
	r := NewReceiver()
	delivered := 0
	r.Deliver = func(*Incoming, Heard) { delivered++ }
	r.Message(packet(t, 1, 0, 0, opusFrame(0)), 0)
	r.Message(packet(t, 1, 0, 5, opusFrame(5)), 0)
	if delivered != 1 {
		t.Fatalf("delivered %d before the skip, want 1", delivered)
	}
	r.Skip(1, 0, 1, 4)
	if delivered != 2 || r.Tracks()[0].Missing() != 4 {
		t.Errorf("delivered %d, missing %d, want 2 and 4", delivered, r.Tracks()[0].Missing())
	}
}

func TestLatencyCountsFromCapture(t *testing.T) {
	r := NewReceiver()
	clock := &room.Clock{Timestamp: 0, UnixMicro: 1_000_000}
	r.Message(packet(t, 1, 0, 0, opusFrame(0)), 1_003_000) // before the roster names the track
	r.Announce(room.TrackInfo{Handle: 1, Clock: clock}, "ada", "Ada", true)
	r.Message(packet(t, 1, 0, 100, opusFrame(1)), 2_003_000) // frames of 10 ms
	h := r.Tracks()[0]
	if got := h.Latency.Quantile(0.99); h.Latency.Count() != 2 || got < 3*time.Millisecond || got > 3100*time.Microsecond {
		t.Errorf("%d latencies, p99 %v, want 2 of 3 ms", h.Latency.Count(), got)
	}
}

// Rows 60, 61, 74 from the listening side: whatever an edge sends, a listener stays up and bounded.
func TestRow61ReceiverBearsRubbish(t *testing.T) {
	r := NewReceiver()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		b := make([]byte, random.IntN(64))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if len(b) > 0 && random.IntN(2) == 0 {
			b[0] = 1<<6 | b[0]&0x1f
		}
		r.Message(b, 0)
	}
	for i := range 4 * maxTracks {
		r.Message(packet(t, uint32(i+1), 0, 0, opusFrame(0)), 0)
	}
	for i := range 4 * maxHoles {
		r.Message(packet(t, 1, 255, 2*i, opusFrame(0)), 0)
	}
	if len(r.Tracks()) > maxTracks || r.Refused == 0 {
		t.Errorf("%d tracks, %d refused", len(r.Tracks()), r.Refused)
	}
	for _, h := range r.Tracks() {
		if h.epoch.have.Len() > maxHoles+1 || len(h.epoch.held) > holdFrames {
			t.Fatalf("%d holes, %d held", h.epoch.have.Len(), len(h.epoch.held))
		}
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for us := range int64(100_000) {
		h.Add(us)
	}
	for q, want := range map[float64]float64{0.5: 50, 0.99: 99, 1: 99.999} {
		if got := h.Quantile(q).Seconds() * 1000; got < want || got > want*1.04 {
			t.Errorf("quantile %v is %v ms, want %v to 3 %% more", q, got, want)
		}
	}
	for i := range histogramSize {
		if bucket(ceiling(i)) != i {
			t.Fatalf("bucket %d ends at %d, which lies in bucket %d", i, ceiling(i), bucket(ceiling(i)))
		}
	}
	h.Add(-5)
	h.Add(1 << 50)
	if h.Max() != 1<<50*time.Microsecond || h.Count() != 100_002 {
		t.Error("extremes are lost")
	}
}

func BenchmarkReceiver(b *testing.B) {
	r := NewReceiver()
	r.Announce(room.TrackInfo{Handle: 1, Clock: &room.Clock{}}, "ada", "Ada", true)
	payload := append(opusFrame(0), make([]byte, 70)...)
	message := packet(b, 1, 0, 0, payload)
	b.ReportAllocs()
	seq := 0
	for b.Loop() {
		message[6], message[7], message[8], message[9] = byte(seq>>24), byte(seq>>16), byte(seq>>8), byte(seq)
		r.Message(message, int64(seq))
		seq++
	}
}
