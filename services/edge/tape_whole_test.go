package edge

import (
	"bytes"
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
	tape, _ := wornLog(t, packsOf(t, 100), 1000, damaged(60, 100, func(try int64) bool { return try%7 > 1 }))
	wholeFrom(t, "late", heardFrom(t, s, tape, place{kind: fromStart}), 0, 999)
}

// A speaker had no edge for 20 s, and what it said meanwhile is given slowly. Who loses its socket goes on with all that was not given yet,
// also of what lies behind the first live pack.
func TestRewindGoesOnInTheMidstOfWhatWasSentAgain(t *testing.T) {
	t.Parallel()
	var packs [][]byte
	for seq := range uint32(10) {
		packs = append(packs, audio(t, 7, 0, 50*seq, 50, 0)) // a second each
	}
	for range 20 {
		packs = append(packs, nil) // of other rooms
	}
	for i := range uint32(20) {
		if packs = append(packs, audio(t, 7, 0, 500+50*i, 50, frame.Backlog)); i == 10 {
			packs = append(packs, audio(t, 7, 0, 1500, 50, 0))
		}
	}
	for i := range uint32(20) {
		packs = append(packs, audio(t, 7, 0, 1550+50*i, 50, 0))
	}
	s := newStage(t)
	tape, _ := wornLog(t, packs, 1000, func(_ int64, at int) wear {
		if packs[at-1] == nil {
			return lacking
		}
		return sound
	})
	const lost = 36 // positions: 31 has seq 500, 36 has 750, 42 the first live pack
	wholeFrom(t, "it goes on", heardFrom(t, s, tape, placeAt(wornSince.Add(lost*time.Second))), 750, 2549)
	wholeFrom(t, "where all is given that lies before the live pack", heardFrom(t, s, tape, placeAt(wornSince.Add(42*time.Second))), 1050, 2549)
}

// heardFrom is all that a player gives of a log, without regard to time.
func heardFrom(t *testing.T, s *stage, tape *tape, where place) (heard []heardFrame) {
	t.Helper()
	p := newPlayer(s.hub("hall"), &conn{}, where, 16)
	p.reel = tape.reel("hall")
	p.wind(0)
	if !p.locate(t.Context()) {
		t.Fatal("not located")
	}
	p.horizon = farFuture
	now := nanotime()
	for taken := uint64(0); !p.failed; {
		p.head = false
		now += int64(time.Hour)
		p.give(t.Context(), now)
		head := p.ring.head.Load()
		if head == taken {
			break
		}
		for ; taken < head; taken++ {
			if m := p.ring.get(taken).message; m[0]&0xf == opBinary {
				heard = append(heard, framesOf(t, [][]byte{body(m)}, 7)...)
			} else if bytes.Contains(m, []byte("skipped")) {
				t.Errorf("told %s", body(m))
			}
		}
		p.conn.progress.Store(taken)
	}
	return heard
}
