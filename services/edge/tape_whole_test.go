package edge

import (
	"sync/atomic"
	"testing"
	"time"

	"airloom/internal/frame"
)

// damaged is a replica that answers some of the direct reads and lacks the positions from..to.
func damaged(from, to int, answers func(try int64) bool) func(try int64, at int) wear {
	return func(try int64, at int) wear {
		if answers(try) && at >= from && at <= to {
			return lacking
		}
		return sound
	}
}

// A replica with a hole answers as if nothing had been there. What it lacks is read from another one, also where the span ends at one that
// is known already.
func TestTapeOfAReplicaWithAHole(t *testing.T) {
	for name, hole := range map[string][2]int{"in the middle": {30, 89}, "at the front": {1, 20}, "at the end": {80, 100}, "all of it": {1, 100}, "one": {50, 50}} {
		t.Run(name, func(t *testing.T) {
			var wrong atomic.Int64 // the read that the damaged replica answers: the first one from 1 on
			tape, asked := wornLog(t, packsOf(t, 100), 1000, damaged(hole[0], hole[1], func(try int64) bool { return try == wrong.Load() }))
			r := tape.reel("hall")
			if got, _, err := r.read(t.Context(), 60); err != nil || len(got) != 41 {
				t.Fatalf("from 60: %d packs, %v", len(got), err)
			}
			wrong.Store(asked.Load() + 1)
			all := readAll(t, r, 1)
			if len(all) != 100 {
				t.Fatalf("%d packs, want 100", len(all))
			}
			for i, p := range all {
				if p.position != uint64(i+1) {
					t.Fatalf("pack %d is at %d", i, p.position)
				}
			}
		})
	}
}

// Two of three replicas lack different packs, and all of them one: the tape has all that there is, and does not ask for it again and again.
func TestTapeOfTwoDamagedReplicas(t *testing.T) {
	tape, asked := wornLog(t, packsOf(t, 100), 40, func(try int64, at int) wear {
		if at == 70 || try%3 == 0 && at%10 == 3 || try%3 == 1 && at%10 == 7 {
			return lacking
		}
		return sound
	})
	r := tape.reel("hall")
	all := readAll(t, r, 1)
	if len(all) != 99 {
		t.Errorf("%d packs, want 99", len(all))
	}
	n := asked.Load()
	if again := readAll(t, r, 1); len(again) != 99 || asked.Load() > n+1 {
		t.Errorf("%d packs, asked %d times more", len(again), asked.Load()-n)
	}
}

// Where the past begins and ends, and where a time is, is no single replica's word.
func TestPlacesOfADamagedReplica(t *testing.T) {
	for name, hole := range map[string][2]int{"front": {1, 60}, "end": {61, 100}} {
		t.Run(name, func(t *testing.T) {
			tape, _ := wornLog(t, packsOf(t, 100), 1000, damaged(hole[0], hole[1], func(try int64) bool { return try%4 != 0 }))
			r := tape.reel("hall")
			w, err := r.askWindow()
			if err != nil || w.oldest != 1 || !w.From.Equal(wornSince.Add(time.Second)) || !w.To.Equal(wornSince.Add(100*time.Second)) {
				t.Errorf("the window is %v to %v, position %d, %v", w.From, w.To, w.oldest, err)
			}
			for _, second := range []int64{1, 40, 90} {
				if at, err := r.seek(wornSince.Unix() + second); err != nil || at != uint64(second) {
					t.Errorf("second %d is at %d, %v", second, at, err)
				}
			}
		})
	}
}

// A track is over, and the replica that is read lacks its end: nothing comes behind it that would show that, and it is heard all the same.
func TestRewindHearsTheEndThatAReplicaLacks(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	tape, _ := wornLog(t, packsOf(t, 100), 1000, damaged(60, 100, func(try int64) bool { return try%3 != 0 }))
	p := newPlayer(s.hub("hall"), &conn{}, place{kind: fromStart}, 16)
	p.reel = tape.reel("hall")
	p.wind(0)
	if !p.locate(t.Context()) {
		t.Fatal("not located")
	}
	p.horizon = farFuture
	var heard []heardFrame
	for taken := uint64(0); len(heard) < 1000 && !p.failed; {
		p.head = false
		p.give(t.Context(), nanotime()+int64(time.Hour)*int64(taken)) // no rate
		head := p.ring.head.Load()
		if head == taken {
			break
		}
		for ; taken < head; taken++ {
			if m := p.ring.get(taken).message; m[0]&0xf == opBinary {
				heard = append(heard, framesOf(t, [][]byte{body(m)}, 7)...)
			}
		}
		p.conn.progress.Store(taken)
	}
	wholeFrom(t, "late", heard, 0, 999)
	if p.order.lanes[frame.TrackID(7)].next != 1000 {
		t.Error("the track is not at its end")
	}
}
