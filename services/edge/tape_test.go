package edge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/frame"
	"airloom/internal/subject"
)

// fill appends packs of one track to the log, as a speaker's edge does, and gives their number.
func (d *door) fill(name string, handle uint32, packs, perPack int) {
	d.h.t.Helper()
	on := subject.Log(region, name, frame.TrackID(handle))
	for i := range packs {
		packet := audio(d.h.t, handle, 0, uint32(i*perPack), perPack, 0)
		if _, err := d.bus.JetStream().Publish(d.h.ctx(), on, packet); err != nil {
			d.h.t.Fatal(err)
		}
	}
}

// Many read the same room at the same time from places of their own: each gets all that lies behind its place, and the log is
// read about once.
func TestTapeIsShared(t *testing.T) {
	d := newHouse(t).edge(nil)
	const packs = 1000
	d.fill("hall", 7, packs/2, 10)
	d.fill("other", 9, 50, 10) // positions of the room are not contiguous
	d.fill("hall", 8, packs/2, 10)
	r := d.tape.reel("hall")
	all := readAll(t, r, 1)
	if len(all) != packs {
		t.Fatalf("%d packs, want %d", len(all), packs)
	}
	once := d.metrics.tapeReads.Load()
	r = d.tape.reel("hall") // another one, that knows nothing
	var wg sync.WaitGroup
	for reader := range 50 {
		wg.Go(func() {
			from := 1 + rand.New(rand.NewPCG(1, uint64(reader))).IntN(packs/2)
			got := readAll(t, r, uint64(from))
			want := 0
			for _, p := range all {
				if p.position >= uint64(from) {
					want++
				}
			}
			if len(got) != want {
				t.Errorf("from %d: %d packs, want %d", from, len(got), want)
			}
		})
	}
	wg.Wait()
	if reads := d.metrics.tapeReads.Load() - once; reads > 4*once {
		t.Errorf("50 readers read the log %d times, one reads it %d times", reads, once)
	}
	d.tape.mu.Lock()
	defer d.tape.mu.Unlock()
	through := uint64(0)
	for _, s := range r.spans {
		if s.from <= through || s.through < s.from {
			t.Errorf("span %d–%d follows %d", s.from, s.through, through)
		}
		through = s.through
	}
}

func readAll(t *testing.T, r *reel, from uint64) (all []*piece) {
	t.Helper()
	for {
		got, next, err := r.read(context.Background(), from)
		if err != nil {
			t.Error(err)
			return all
		}
		if next == from {
			return all
		}
		all, from = append(all, got...), next
	}
}

// The tape holds no more than it may: what was not used for longest goes, and is read again when it is wanted.
func TestTapeIsBounded(t *testing.T) {
	d := newHouse(t).edge(func(e *Edge) { e.tape.most = 300 << 10 })
	for i := range 3 {
		d.fill(fmt.Sprint("hall", i), 7, 600, 10)
	}
	var reels []*reel
	for round := range 2 {
		for i := range 3 {
			r := d.tape.reel(fmt.Sprint("hall", i))
			reels = append(reels, r)
			if got := readAll(t, r, 1); len(got) != 600 {
				t.Fatalf("round %d: %d packs", round, len(got))
			}
			if n := d.metrics.tapeBytes.Load(); n > 300<<10 || n == 0 {
				t.Fatalf("%d bytes are remembered", n)
			}
		}
	}
	for _, r := range reels {
		d.tape.drop(r)
	}
	if n := d.metrics.tapeBytes.Load(); n != 0 || d.tape.used.Len() != 0 {
		t.Errorf("%d bytes are left of dropped rooms", n)
	}
}

// Packs that come while somebody reads at the head are found, and short spans grow together.
func TestTapeGrowsAtTheHead(t *testing.T) {
	d := newHouse(t).edge(nil)
	r := d.tape.reel("hall")
	on := subject.Log(region, "hall", frame.TrackID(7))
	from := uint64(1)
	for i := range 20 {
		if _, err := d.bus.JetStream().Publish(d.h.ctx(), on, audio(t, 7, 0, uint32(i*10), 10, 0)); err != nil {
			t.Fatal(err)
		}
		until(t, "the pack is there", func() bool {
			got, next, err := r.read(d.h.ctx(), from)
			if err != nil {
				t.Fatal(err)
			}
			from = next
			return len(got) == 1 && got[0].first == uint32(i*10)
		})
	}
	d.tape.mu.Lock()
	defer d.tape.mu.Unlock()
	if len(r.spans) != 1 || len(r.spans[0].pieces) != 20 {
		t.Errorf("%d spans", len(r.spans))
	}
}

// A log that is not there: who asks is told at once, and after a moment it is asked again.
func TestTapeWithoutALog(t *testing.T) {
	h := newBareHouse(t)
	e, err := New(Config{Listen: "127.0.0.1:0", Region: region, Keys: h.keys, Defaults: defaults}, h.connect(bus.Edge), logger())
	if err != nil {
		t.Fatal(err)
	}
	r := e.tape.reel("hall")
	began := time.Now()
	for range 100 {
		if _, _, err := r.read(h.ctx(), 1); err == nil {
			t.Fatal("a log that is not there was read")
		}
	}
	if took := time.Since(began); took > readWithin+time.Second {
		t.Errorf("100 readers waited for %v", took)
	}
	if err := h.connect(bus.Admin).EnsureStreams(h.ctx(), bus.Streams{Region: region}); err != nil {
		t.Fatal(err)
	}
	until(t, "it is read", func() bool { _, _, err := r.read(h.ctx(), 1); return err == nil })
}
