package edge

import (
	"sync/atomic"
	"testing"
	"time"
)

// ages makes what is known of the window older by a time.
func (r *reel) ages(by time.Duration) {
	r.tape.mu.Lock()
	defer r.tape.mu.Unlock()
	r.window.asked -= int64(by)
}

// Each open page asks for the window again and again. Of a room in which nobody speaks the log is seldom asked, and one replica only; several are asked once
// somebody has spoken, or where one says less than is known.
func TestWindowAsksTheLogNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	var logged, damaged atomic.Bool
	tape, asked := wornLog(t, packsOf(t, 100), 1000, func(try int64, at int) wear {
		if !logged.Load() || damaged.Load() && (at < 60 || try%4 == 0) {
			return lacking
		}
		return sound
	})
	r := tape.reel("hall")
	costs := func(what string, most int64, begins bool) {
		t.Helper()
		before := asked.Load()
		w, err := r.kept()
		if n := asked.Load() - before; err != nil || n > most || (w.From != nil) != begins {
			t.Errorf("%s: %d reads, want at most %d; it begins at %v, %v", what, n, most, w.From, err)
		}
	}
	costs("at first all replicas are asked", 8, false)
	for range 2 {
		costs("nobody has spoken", 0, false)
		r.ages(5 * time.Second)
	}
	costs("one replica is asked, seconds later", 1, false)
	r.ages(2 * time.Second)
	r.heard.Store(nanotime())
	costs("somebody has spoken: the log may have it at any moment", 9, false)
	r.ages(2 * time.Second)
	logged.Store(true)
	costs("the log has it", 17, true)
	costs("it is known", 0, true)
	r.ages(2 * time.Second)
	costs("one replica says the same", 2, true)
	r.ages(2 * time.Second)
	damaged.Store(true)
	if w, err := r.kept(); err != nil || w.oldest != 60 {
		t.Errorf("from %d, %v: what no replica has is gone", w.oldest, err)
	}
}

// What a replica lacks moves no end of a window that is known.
func TestWindowOfADamagedReplica(t *testing.T) {
	t.Parallel()
	for name, hole := range map[string][2]int{"front": {1, 60}, "end": {61, 100}, "all": {1, 100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var worn atomic.Int64 // the next reads that the damaged replica answers
			tape, asked := wornLog(t, packsOf(t, 100), 1000, damaged(hole[0], hole[1], func(try int64) bool { return try <= worn.Load() }))
			r := tape.reel("hall")
			for range 3 {
				w, err := r.kept()
				if err != nil || w.oldest != 1 || !w.To.Equal(wornSince.Add(100*time.Second)) {
					t.Fatalf("the window is %v to %v, %v", w.From, w.To, err)
				}
				r.ages(2 * time.Second)
				worn.Store(asked.Load() + 4)
			}
		})
	}
}
