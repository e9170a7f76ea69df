package recorder

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"airloom/internal/frame"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// celt20 is a valid 20 ms frame with a mark in it.
func celt20(mark uint32) []byte { return []byte{31 << 3, byte(mark), byte(mark >> 8), 1} }

func audio(t *testing.T, epoch uint8, seq uint32, count int) *frame.Packet {
	t.Helper()
	frames := make([][]byte, count)
	for i := range frames {
		frames[i] = celt20(seq + uint32(i))
	}
	b, err := frame.AppendAudio(nil, frame.Header{Handle: 7, Epoch: epoch, Seq: seq, Timestamp: seq * 960}, frames...)
	return parsed(t, b, err)
}

func silence(t *testing.T, epoch uint8, seq uint32, span uint16) *frame.Packet {
	t.Helper()
	b, err := frame.AppendSilence(nil, frame.Header{Handle: 7, Epoch: epoch, Seq: seq, Timestamp: seq * 960}, span, 8)
	return parsed(t, b, err)
}

func parsed(t *testing.T, b []byte, err error) *frame.Packet {
	t.Helper()
	p := new(frame.Packet)
	if err == nil {
		_, err = frame.Parse(b, p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A recorder that catches up has folded a track's end before it reads its packs: a gap that is but a reason closes nothing then, as what
// it covers may still come.
func TestAReasonClosesNothingBeforeTheLogIsRead(t *testing.T) {
	f := testFollow()
	f.fact(room.GapDeclared{Track: f.info.Track, From: 10, To: 19, Reason: room.PublisherDropped})
	f.end(true, 0, 499)
	f.fact(room.TrackClosed{Track: f.info.Track, Through: 200})
	f.add(1, audio(t, 0, 0, 10))
	for n := uint32(2); n < 50; n++ {
		f.add(uint64(n), audio(t, 0, 10*n, 10))
	}
	if early := f.closable(49); len(early) != 0 {
		t.Fatalf("closed early: %+v", early[0].Items)
	}
	f.add(100, audio(t, 0, 10, 10)) // sent again, behind all others
	if closed := f.closable(100); len(closed) != 1 || f.frames != 500 {
		t.Errorf("%d closed with %d frames", len(closed), f.frames)
	}
}

// What one replica of the log lacks comes last, out of order: what counts is the first copy in the log all the same.
func TestAFirstCopyThatComesLate(t *testing.T) {
	f := testFollow()
	f.add(50, audio(t, 0, 0, 3))
	f.add(10, audio(t, 0, 0, 2))
	f.end(true, 0, 2)
	f.fact(room.TrackClosed{Track: f.info.Track, Through: 30})
	if got := f.undeclared(30); len(got) != 1 || got[0].From != 2 || got[0].To != 2 {
		t.Errorf("missing: %+v", got)
	}
}

func testFollow() *follow {
	return newFollow("hall", recording.Track{Track: frame.TrackID(7), FrameMS: 20}, 7)
}

// entry is one thing in the order in which it really happened: a pack in the log, or an event.
type entry struct {
	pos   uint64 // of a pack
	pack  *frame.Packet
	event func(*follow)
}

// readAs is a recorder that folds events up to `ahead` entries before it must.
func readAs(history []entry, most int, ahead func() int) (segments []string, gaps []room.GapDeclared) {
	return readClip(history, 0, most, ahead)
}

// readClip is readAs for a recording that begins behind a position.
func readClip(history []entry, from uint64, most int, ahead func() int) (segments []string, gaps []room.GapDeclared) {
	f := testFollow()
	f.from = from
	out := map[string][]byte{}
	keep := func(list []*recording.Segment) {
		for _, s := range list {
			b, err := s.Append(nil)
			if err != nil {
				panic(err)
			}
			key := fmt.Sprintf("%d-%d", s.Epoch, s.First)
			if out[key] != nil {
				panic("segment " + key + " closed twice")
			}
			out[key] = b
		}
	}
	events, read := 0, uint64(0)
	for i, e := range history {
		for ; events < min(len(history), max(i, i+ahead())); events++ {
			if rm := history[events]; rm.event != nil {
				rm.event(f)
			}
		}
		if e.pack != nil {
			f.add(e.pos, e.pack)
			read = e.pos
		}
		keep(f.closable(read))
		f.putAside(most, read)
	}
	for ; events < len(history); events++ {
		if rm := history[events]; rm.event != nil {
			rm.event(f)
		}
	}
	again := func(after uint64) {
		for _, e := range history {
			if e.pack != nil && e.pos > after && e.pos <= f.closing.through {
				f.add(e.pos, e.pack)
			}
		}
	}
	if f.anewFrom != 0 {
		again(f.anewFrom - 1)
	}
	keep(f.closable(read))
	for {
		found := f.undeclared(f.closing.through)
		if f.clipped() {
			f.excuse()
		} else {
			for _, g := range found {
				f.declare(g)
			}
		}
		gaps = append(gaps, found...)
		keep(f.closable(read))
		keep(f.rest())
		after, ok := f.takeBack(2)
		if !ok {
			break
		}
		again(after)
	}
	slices.SortFunc(gaps, func(a, b room.GapDeclared) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.From, b.From))
	})
	gaps = joined(gaps)
	counts := map[segmentID]int{}
	for key, b := range out {
		s, err := recording.ParseSegment(b)
		if err != nil {
			panic(key + ": " + err.Error())
		}
		counts[segmentID{s.Epoch, s.First / recording.SegmentSeqs}] = s.Count
	}
	if what := addsUp(f.plan(), counts); what != "" {
		panic(what)
	}
	for _, e := range f.plan().epochs {
		segments = append(segments, fmt.Sprintf("epoch %d is %d to %d", e.id, e.first, e.last))
	}
	for key, b := range out {
		segments = append(segments, fmt.Sprintf("%s %x", key, b))
	}
	slices.Sort(segments)
	return segments, gaps
}

// joined makes neighbours one: what was put aside is declared apart.
func joined(gaps []room.GapDeclared) (out []room.GapDeclared) {
	for _, g := range gaps {
		if n := len(out); n > 0 && out[n-1].Epoch == g.Epoch && out[n-1].To+1 == g.From {
			out[n-1].To = g.To
			continue
		}
		out = append(out, g)
	}
	return out
}

// Whatever the speaker, the edges and the order of reading do: every recorder closes the same segments. What it may rest
// on is that a pack is read only once all events are folded that were there before it.
func TestEveryOrderOfReadingGivesTheSameSegments(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 9))
		history := someHistory(t, random)
		want, wantGaps := readAs(history, maxOpen, func() int { return 0 })
		for range 5 {
			got, gaps := readAs(history, 1+random.IntN(4), func() int { return random.IntN(40) })
			if !slices.Equal(got, want) || !reflect.DeepEqual(gaps, wantGaps) {
				t.Fatalf("seed %d: %d and %d segments differ, gaps %v and %v", seed, len(got), len(want), gaps, wantGaps)
			}
		}
		late, lateGaps := readAs(history, maxOpen, func() int { return len(history) })
		if !slices.Equal(late, want) || !reflect.DeepEqual(lateGaps, wantGaps) {
			t.Fatalf("seed %d: made anew, %d and %d segments differ", seed, len(late), len(want))
		}
	}
}

// The same of recordings that begin in the middle of a track, are stopped in the middle of it, or both. Between the halt and the stop packs
// are read that the stop, which knows how far the log was in between, leaves out.
func TestEveryOrderOfReadingGivesTheSameClips(t *testing.T) {
	clips := map[string]int{}
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 11))
		history := someHistory(t, random)
		positions := make([]uint64, len(history)) // of the newest pack
		newest := uint64(0)
		for i, e := range history {
			newest = max(newest, e.pos)
			positions[i] = newest
		}
		begin, halt := random.IntN(len(history)), random.IntN(len(history))
		begin, halt = min(begin, halt), max(begin, halt)
		from := positions[begin] * uint64(random.IntN(4)) / 3
		if random.IntN(4) > 0 {
			stop := min(halt+random.IntN(60), len(history))
			through := max(positions[min(halt+random.IntN(max(1, stop-halt)), len(history)-1)], from, 1)
			history = slices.Insert(history, stop, entry{event: func(f *follow) {
				if f.held = false; !f.ended {
					f.cut(through)
				}
			}})
			history = slices.Insert(history, halt, entry{event: func(f *follow) { f.held = true }})
		}
		want, _ := readClip(history, from, maxOpen, func() int { return 0 })
		for range 5 {
			if got, _ := readClip(history, from, 1+random.IntN(4), func() int { return random.IntN(40) }); !slices.Equal(got, want) {
				t.Fatalf("seed %d: %d and %d differ:\n%.2000s\n%.2000s", seed, len(got), len(want), got, want)
			}
		}
		if late, _ := readClip(history, from, maxOpen, func() int { return len(history) }); !slices.Equal(late, want) {
			t.Fatalf("seed %d: made anew, %d and %d segments differ", seed, len(late), len(want))
		}
		clips[fmt.Sprint(from > 0, len(want) > 2)]++
	}
	if clips["true true"] < 20 || clips["false true"] < 5 {
		t.Errorf("too little was tried: %v", clips)
	}
}

// someHistory is a track with holes, copies, late packs, silences, gaps and an end after which packs still come.
func someHistory(t *testing.T, random *rand.Rand) (out []entry) {
	t.Helper()
	pos := uint64(0)
	pack := func(p *frame.Packet) { pos++; out = append(out, entry{pos: pos, pack: p}) }
	event := func(f func(*follow)) { out = append(out, entry{event: f}) }
	var held []*frame.Packet
	seq := uint32(0)
	epoch := uint8(0)
	holes := random.IntN(2) == 0 // without any, segments close long before the end
	for range 60 + random.IntN(200) {
		n := 1 + random.IntN(10)
		kind := random.IntN(13)
		if !holes && kind != 2 {
			kind = 5
		}
		switch kind {
		case 0: // lost
		case 1:
			held = append(held, audio(t, epoch, seq, n))
		case 2:
			n = 1 + random.IntN(300)
			pack(silence(t, epoch, seq, uint16(n)))
		case 3:
			g := room.GapDeclared{Track: frame.TrackID(7), Epoch: epoch, From: seq, To: seq + uint32(n) - 1, Reason: room.PublisherDropped}
			if random.IntN(2) == 0 {
				g.Through = max(pos, 1)
			}
			event(func(f *follow) { f.declare(g) })
		case 12: // far ahead: the track may end, or be cut, within it
			g := room.GapDeclared{Track: frame.TrackID(7), Epoch: epoch, From: seq, To: seq + uint32(random.IntN(700)), Reason: room.PublisherDropped}
			if n = 0; random.IntN(5) == 0 {
				g.Through = max(pos, 1)
			}
			event(func(f *follow) { f.declare(g) })
		case 4:
			if len(held) > 0 {
				pack(held[0])
				held = held[1:]
			}
			pack(audio(t, epoch, seq, n))
		default:
			pack(audio(t, epoch, seq, n))
			if random.IntN(4) == 0 {
				pack(audio(t, epoch, seq, n))
			}
		}
		seq += uint32(n)
		if random.IntN(150) == 0 {
			seq, epoch = 0, epoch+1
		}
	}
	known, last := random.IntN(2) == 0, int64(seq)+int64(random.IntN(30))-1
	event(func(f *follow) {
		if !f.cutOff {
			f.end(known, epoch, last)
		}
	})
	for range random.IntN(3) {
		if len(held) > 0 {
			pack(held[0])
			held = held[1:]
		}
	}
	through := max(pos, 1)
	for _, p := range held { // a frozen edge thaws between the decision and the fact
		pack(p)
	}
	event(func(f *follow) {
		f.settle(through)
	})
	for range random.IntN(5) {
		pack(audio(t, epoch+uint8(random.IntN(2)), seq-min(seq, uint32(random.IntN(20))), 10))
	}
	return out
}

func TestLastSeq(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*follow)
		want int64
	}{
		{"nothing", func(*follow) {}, -1},
		{"the highest seq", func(f *follow) { f.add(1, audio(t, 0, 40, 10)) }, 49},
		{"silence counts", func(f *follow) { f.add(1, silence(t, 0, 0, 700)) }, 699},
		{"what the speaker said", func(f *follow) { f.add(1, audio(t, 0, 0, 10)); f.end(true, 0, 99) }, 99},
		{"nothing came of it", func(f *follow) { f.end(true, 0, 99) }, 99},
		{"more came than was said", func(f *follow) { f.add(1, audio(t, 0, 0, 10)); f.end(true, 0, 3) }, 9},
		{"a wild claim", func(f *follow) { f.add(1, audio(t, 0, 0, 10)); f.end(true, 0, frame.MaxSeq) }, 9},
		{"of another epoch", func(f *follow) { f.add(1, audio(t, 0, 0, 10)); f.end(true, 1, 99) }, 9},
	} {
		f := testFollow()
		c.do(f)
		f.settle(10)
		if got := f.lastSeq(0); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestASegmentWithNothingInItIsNotStored(t *testing.T) {
	f := testFollow()
	f.add(1, audio(t, 0, 0, 1))
	f.add(2, audio(t, 0, 1600, 1))
	f.end(true, 0, 1600)
	f.settle(2)
	for _, g := range f.undeclared(2) {
		f.declare(g)
	}
	var firsts []uint32
	for _, s := range f.rest() {
		firsts = append(firsts, s.First)
	}
	if !slices.Equal(firsts, []uint32{0, 1500}) {
		t.Errorf("segments from %v", firsts)
	}
}

func TestSubtract(t *testing.T) {
	for _, c := range []struct {
		from []frame.Range
		cut  frame.Range
		want []frame.Range
	}{
		{[]frame.Range{{From: 0, To: 9}}, frame.Range{From: 3, To: 5}, []frame.Range{{From: 0, To: 2}, {From: 6, To: 9}}},
		{[]frame.Range{{From: 0, To: 9}}, frame.Range{From: 0, To: 9}, nil},
		{[]frame.Range{{From: 0, To: 9}, {From: 20, To: 29}}, frame.Range{From: 5, To: 24}, []frame.Range{{From: 0, To: 4}, {From: 25, To: 29}}},
		{[]frame.Range{{From: 5, To: 9}}, frame.Range{From: 0, To: 4}, []frame.Range{{From: 5, To: 9}}},
		{[]frame.Range{{From: 5, To: frame.MaxSeq}}, frame.Range{From: 6, To: frame.MaxSeq}, []frame.Range{{From: 5, To: 5}}},
	} {
		if got := subtract(c.from, c.cut); !slices.Equal(got, c.want) {
			t.Errorf("%v without %v = %v, want %v", c.from, c.cut, got, c.want)
		}
	}
}
