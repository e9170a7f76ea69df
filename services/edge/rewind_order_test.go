package edge

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"airloom/internal/frame"
)

// logged makes the pieces of one message of the log.
func logged(t testing.TB, track string, position uint64, at time.Time, packet []byte) []*piece {
	t.Helper()
	all, bad := pieces(track, packet, position, at)
	if bad != 0 {
		t.Fatalf("%d packets do not parse", bad)
	}
	return all
}

// Whatever the disorder of a log whose holes are all filled in time: each frame is given once, unaltered, in the order of
// (epoch, seq), and a resend has the place of what follows it.
func TestOrderOfADisorderedLog(t *testing.T) {
	const handle = 7
	track := frame.TrackID(handle)
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		epochs, frames := 1+random.IntN(3), 1+random.IntN(200)
		var log [][]byte
		for epoch := range epochs {
			for seq := 0; seq < frames; {
				n := min(1+random.IntN(15), frames-seq)
				log = append(log, audio(t, handle, uint8(epoch), uint32(seq), n, 0))
				if random.IntN(4) == 0 { // again, in other packs
					from := max(0, seq-random.IntN(12))
					log = append(log, audio(t, handle, uint8(epoch), uint32(from), min(1+random.IntN(20), frames-from), frame.Backlog))
				}
				seq += n
			}
		}
		for i := 1; i < len(log); i++ { // disorder over a few packs
			j := min(len(log)-1, i+random.IntN(6))
			log[i], log[j] = log[j], log[i]
		}
		o := newOrder(0)
		start := time.Unix(1_000_000, 0)
		for i, packet := range log {
			for _, p := range logged(t, track, uint64(i+1), start.Add(time.Duration(i)*200*time.Millisecond), packet) {
				o.add(p)
			}
		}
		epoch, next, place := 0, 0, int64(0)
		for l := o.first(); l != nil; l = o.first() {
			if !l.begun {
				o.begin(l, l.waits[0].piece)
			}
			if !l.joins() {
				if h, missing := l.missing(); missing {
					rt.Fatalf("hole %+v at epoch %d seq %d", h, epoch, next)
				}
				l.skip()
				epoch, next = epoch+1, 0
			}
			w := o.take(l)
			if w.place < place || w.place > w.at {
				rt.Fatalf("place %d of what the log had at %d follows %d", w.place, w.at, place)
			}
			place = w.place
			var p frame.Packet
			if _, err := frame.Parse(body(w.message), &p); err != nil || p.Flags&frame.Backlog == 0 {
				rt.Fatalf("packet: %v, flags %b", err, p.Flags)
			}
			for f := range p.Frames {
				if int(p.Epoch) != epoch || int(f.Seq) != next || string(f.Payload) != string(opus(f.Seq, 40)) || f.Timestamp != f.Seq*frameSamples {
					rt.Fatalf("epoch %d seq %d follows epoch %d, next %d", p.Epoch, f.Seq, epoch, next)
				}
				next++
			}
		}
		if epoch != epochs-1 || next != frames || o.bytes != 0 || !o.idle() {
			rt.Fatalf("ends at epoch %d of %d, seq %d of %d, %d bytes", epoch, epochs, next, frames, o.bytes)
		}
	})
}

// Where a listener begins in the middle, what is sent again from before is not given, and no hole is told for it.
func TestOrderBeginsInTheMiddle(t *testing.T) {
	const handle = 7
	track := frame.TrackID(handle)
	at := time.Unix(1_000_000, 0)
	o := newOrder(at.Add(-preroll).UnixNano())
	o.from, o.reads = at.Add(500*time.Millisecond).UnixNano(), true
	position := uint64(0)
	log := func(packet []byte) {
		position++
		at = at.Add(200 * time.Millisecond)
		for _, p := range logged(t, track, position, at, packet) {
			o.add(p)
		}
	}
	log(audio(t, handle, 0, 4000, 10, frame.Backlog)) // of 20 s before
	if l := o.first(); l.begun {
		t.Fatal("what was sent again says where the track is")
	}
	log(audio(t, handle, 0, 5000, 10, 0))
	log(audio(t, handle, 0, 4990, 10, frame.Backlog))
	log(audio(t, handle, 0, 5010, 10, 0))
	l := o.first()
	for _, want := range []uint32{5000, 5010} {
		if !l.joins() || l.waits[0].first != want {
			t.Fatalf("seq %d waits, joins %v, want %d", l.waits[0].first, l.joins(), want)
		}
		o.take(l)
	}
	if !o.idle() || o.late != 2 || len(l.left) != 0 {
		t.Errorf("%d late, idle %v, left out %v", o.late, o.idle(), l.left)
	}
}

// Where a listener begins while a speaker had no edge, it hears all that the log took from there on, though all of it was sent again and some
// of it lies behind the first live pack; also where it goes on in the midst of that.
func TestOrderBeginsWhereNobodyWasLive(t *testing.T) {
	const handle = 7
	track := frame.TrackID(handle)
	at := time.Unix(1_000_000, 0)
	back := at.Add(10 * time.Second) // the speaker has had no edge for 20 s, 1000 seqs
	for name, c := range map[string]struct {
		from  time.Time
		lacks uint32 // a pack that never came
		first uint32
		left  []hole
	}{
		"before":       {from: at, first: 50_000},
		"in the midst": {from: back.Add(4 * time.Millisecond), first: 50_200},
		"with a hole":  {from: back, lacks: 50_300, first: 50_350, left: []hole{{track, 0, 50_000, 50_349}}},
		"with a hole behind what was given before": {
			from: back.Add(4 * time.Millisecond), lacks: 50_300, first: 50_350, left: []hole{{track, 0, 50_200, 50_349}},
		},
	} {
		o := newOrder(c.from.Add(-preroll).UnixNano())
		o.from, o.reads = c.from.UnixNano(), true
		add := func(i int, packet []byte) {
			for _, p := range logged(t, track, uint64(i+1), back.Add(time.Duration(i)*time.Millisecond), packet) {
				o.add(p)
			}
		}
		for i := range 20 {
			if seq := uint32(50_000 + 50*i); seq != c.lacks || c.lacks == 0 {
				add(i+i/10, audio(t, handle, 0, seq, 50, frame.Backlog)) // the live pack comes in the middle
			}
			if i == 9 {
				add(10, audio(t, handle, 0, 51_000, 10, 0))
			}
		}
		l := o.first()
		if l.begun {
			t.Errorf("%s: it is taken up before more is read", name)
		}
		o.beginLate(l)
		if first := l.waits[0].first; !l.joins() || first != c.first || !slices.Equal(l.left, c.left) {
			t.Errorf("%s: it begins with seq %d, joins %v, left out %v", name, first, l.joins(), l.left)
		}
	}
}

// Of many tracks those that are long over are forgotten, but none that the room's ring still names: it would be given anew.
func TestOrderForgetsNoLiveTrack(t *testing.T) {
	ring := newRing()
	long, today := time.Unix(1_000_000, 0), time.Unix(1_000_000, 0).Add(2*laneOver)
	o := newOrder(0)
	o.live = ring.tracks
	add := func(handle uint32, at time.Time) {
		for _, p := range logged(t, frame.TrackID(handle), uint64(handle), at, audio(t, handle, 0, 0, 10, 0)) {
			o.take(o.add(p))
		}
	}
	for handle := range uint32(maxLanes + 1) {
		add(handle+1, long)
	}
	heard := frame.TrackID(9)
	ring.put(&slot{track: heard, last: 9})
	of := frame.TrackID(5_000_000)
	o.lane(of, today.UnixNano()).begun = true // heard in the ring alone
	add(4_000_000, today)
	if l := o.lanes[heard]; l == nil || l.next != 10 {
		t.Errorf("what the ring still has is forgotten: %+v", l)
	}
	if l := o.lanes[of]; l == nil || !l.begun {
		t.Errorf("what came from the ring is forgotten: %+v", l)
	}
	if len(o.lanes) != 3 {
		t.Errorf("%d tracks are remembered", len(o.lanes))
	}
}

// A message to a listener has at most 8 KiB, whatever the bit rate of the packs.
func TestPiecesFitAMessage(t *testing.T) {
	var frames [][]byte
	for range 10 {
		frames = append(frames, opus(3, frame.MaxFrame))
	}
	packet, err := frame.AppendAudio(nil, frame.Header{Flags: frame.Traced, Handle: 7, Seq: 100, Timestamp: 100 * frameSamples}, frames...)
	if err != nil {
		t.Fatal(err)
	}
	next := uint32(100)
	for _, p := range logged(t, frame.TrackID(7), 1, time.Unix(0, 0), packet) {
		var one frame.Packet
		if _, err := frame.Parse(body(p.message), &one); err != nil || len(p.message) > maxListened || one.Seq != next || one.Timestamp != next*frameSamples {
			t.Fatalf("piece of %d bytes at seq %d: %v", len(p.message), one.Seq, err)
		}
		next = one.Last() + 1
	}
	if next != 110 {
		t.Errorf("the pieces end before seq %d", next)
	}
}

// A log in good order is put in order without allocating much: for each piece, its place.
func BenchmarkOrder(b *testing.B) {
	packet := audio(b, 7, 0, 0, 10, 0)
	o := newOrder(0)
	track := frame.TrackID(7)
	b.ReportAllocs()
	for i := range b.N {
		first := uint32(i * 10)
		p := &piece{position: uint64(i + 1), at: int64(i), track: track, first: first, last: first + 9, unit: 8, message: packet}
		o.take(o.add(p))
	}
}
