// Package sim runs pure parts as machines in virtual time: a world of events that happen one after the other, everything uncertain in it
// drawn from a seed. A machine is a test; thousands of seeds take seconds, and the same seed is the same run.
//
// It stands in for no server: services are tested on a real NATS. What a machine tries is the part that would be right or wrong under any of
// them: what is sent again, what is acked, who is reaped, which bytes are written.
package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// World is one run of a machine. All of it happens on one goroutine, inside a bubble of testing/synctest.
type World struct {
	*rand.Rand
	Seed uint64

	queue events
	count int
	trace []string
	began time.Time
	loud  bool
}

// event is something that will happen.
type event struct {
	at    time.Time
	order int // of those at the same time, the one that was foreseen first
	do    func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// After lets something happen later.
func (w *World) After(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, event{time.Now().Add(max(d, 0)), w.count, do})
}

// Every lets something happen again and again, at first after a part of the pause, while it returns true.
func (w *World) Every(pause time.Duration, do func() bool) {
	var again func()
	again = func() {
		if do() {
			w.After(pause, again)
		}
	}
	w.After(w.Upto(pause), again)
}

// Run lets everything happen that is foreseen for the next while, and what follows from it; it ends early when done says so.
func (w *World) Run(d time.Duration, done func() bool) {
	for end := time.Now().Add(d); len(w.queue) > 0 && !w.queue[0].at.After(end); {
		next := heap.Pop(&w.queue).(event)
		time.Sleep(time.Until(next.at))
		next.do()
		if done != nil && done() {
			return
		}
	}
}

// Chance is true with a probability.
func (w *World) Chance(p float64) bool { return w.Float64() < p }

// Upto is a time from 0 to d.
func (w *World) Upto(d time.Duration) time.Duration { return time.Duration(w.Int64N(int64(d) + 1)) }

// Between is a time from a to b.
func (w *World) Between(a, b time.Duration) time.Duration { return a + w.Upto(b-a) }

// Now is how long the world has been running.
func (w *World) Now() time.Duration { return time.Since(w.began) }

// Note tells what happened; a failure shows the last of it.
func (w *World) Note(format string, args ...any) {
	if w.loud {
		w.trace = append(w.trace, fmt.Sprintf("%9.3f ", w.Now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// broken is what Fail panics with.
type broken struct{ words string }

// Fail ends the run: a promise is broken.
func (w *World) Fail(format string, args ...any) { panic(broken{fmt.Sprintf(format, args...)}) }

// try runs a machine once and gives the words of the promise that it broke, or "".
func try(t *testing.T, seed uint64, loud bool, machine func(*World)) (words string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &World{Rand: rand.New(rand.NewPCG(seed, 0x61_69_72)), Seed: seed, began: time.Now(), loud: loud}
		defer func() {
			switch r := recover().(type) {
			case nil:
			case broken:
				tail := slices.Clone(w.trace[max(0, len(w.trace)-200):])
				words = strings.Join(append(tail, fmt.Sprintf("%9.3f %s", w.Now().Seconds(), r.words)), "\n")
			default:
				panic(r)
			}
		}()
		machine(w)
	})
	return words
}
