package edge

import (
	"bufio"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func newReaderOf(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func TestRingLaps(t *testing.T) {
	r := newRing()
	apart := int64(ringSpan) // so far apart that the ring has no reason to grow
	for i := range uint64(3 * ringMin) {
		r.put(&slot{first: uint32(i), at: int64(i) * apart})
	}
	head := r.head.Load()
	if head != 3*ringMin || r.oldest() != 2*ringMin || len(*r.slots.Load()) != ringMin {
		t.Fatalf("head %d, oldest %d, %d slots", head, r.oldest(), len(*r.slots.Load()))
	}
	for i := range head + 10 {
		s := r.get(i)
		if in := i >= r.oldest() && i < head; in != (s != nil) || in && s.first != uint32(i) {
			t.Fatalf("slot %d is %+v", i, s)
		}
	}
}

func TestRingGrowsToItsSpanAndItsBound(t *testing.T) {
	r := newRing()
	step := int64(time.Millisecond)
	for i := range uint64(5000) {
		r.put(&slot{first: uint32(i), at: int64(i) * step})
	}
	if n := len(*r.slots.Load()); n != 4096 { // 2,500 fit
		t.Errorf("%d slots for %v at one a ms", n, ringSpan)
	}
	for i := r.oldest(); i < r.head.Load(); i++ {
		if s := r.get(i); s == nil && i >= r.head.Load()-2500 || s != nil && s.first != uint32(i) {
			t.Fatalf("slot %d is %+v", i, s)
		}
	}
	r = newRing()
	for i := range uint64(3 * ringMax) {
		r.put(&slot{at: int64(i)})
	}
	if n := len(*r.slots.Load()); n != ringMax {
		t.Errorf("%d slots at most, want %d", n, ringMax)
	}
}

// Readers run beside the writer while it laps and grows: what they get is always the slot they asked for, and nothing newer
// than their patience is ever missing.
func TestRingReadersBesideTheWriter(t *testing.T) {
	r := newRing()
	const puts = 40_000
	var done atomic.Bool
	var wg sync.WaitGroup
	for reader := range 3 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(reader)))
			for cursor := uint64(0); !done.Load() || cursor < puts; {
				head := r.head.Load()
				if cursor >= head {
					if done.Load() {
						return
					}
					runtime.Gosched()
					continue
				}
				if s := r.get(cursor); s != nil && (s.index != cursor || s.first != uint32(cursor)) {
					t.Errorf("slot %d is %d", cursor, s.index)
					return
				} else if s == nil && r.head.Load()-cursor < ringMin {
					t.Errorf("slot %d of %d is missing", cursor, head)
					return
				}
				if cursor++; random.IntN(1000) == 0 {
					cursor = head // a listener that was skipped
				}
			}
		})
	}
	for i := range uint64(puts) {
		r.put(&slot{first: uint32(i), at: int64(i) * int64(200*time.Microsecond)})
	}
	done.Store(true)
	wg.Wait()
}

func TestSkipNotice(t *testing.T) {
	r := newRing()
	for i, s := range []slot{
		{session: "a", track: "ta", first: 10, last: 10}, {session: "b", track: "tb", epoch: 1, first: 0, last: 4},
		{session: "a", track: "ta", first: 11, last: 20}, {session: "me", track: "tm", first: 5, last: 5}, {session: "a", track: "ta", epoch: 1, first: 0, last: 0},
	} {
		s.at = int64(i)
		r.put(&s)
	}
	notice, missed := skipNotice(r, "me", 0, 5)
	want := `{"type":"skipped","reason":"slow","tracks":[{"track":"ta","epoch":0,"from":10,"to":20},{"track":"tb","epoch":1,"from":0,"to":4},{"track":"ta","epoch":1,"from":0,"to":0}]}`
	if got := string(notice[headSize(notice):]); got != want || missed != 4 {
		t.Errorf("%d missed: %s", missed, got)
	}
	if _, missed := skipNotice(r, "me", 3, 4); missed != 0 {
		t.Errorf("its own packet counts as missed")
	}
}
