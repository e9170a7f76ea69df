package outgoing

import (
	"testing"
	"time"

	"airloom/internal/frame"
)

// What is said while nothing is kept is heard live or not at all: it is never sent again, whoever asks, and missing from what is kept
// later.
func TestNothingIsHeldWhileNothingIsKept(t *testing.T) {
	now := time.Unix(100, 0)
	o := New(1, 0, 8, 1000, false, now)
	say := func(n int) {
		for range n {
			o.Add([]byte{9 << 3, 1, 2}, false, now)
		}
	}
	sent := func() (live, backlog int) {
		for _, next := range []func() []byte{func() []byte { return o.Live(nil, now) }, func() []byte { return o.Backlog(nil, 100) }} {
			for b := next(); len(b) > 0; b = next() {
				var p frame.Packet
				for len(b) > 0 {
					rest, err := frame.Parse(b, &p)
					if err != nil {
						t.Fatal(err)
					}
					if b = rest; p.Flags&frame.Backlog != 0 {
						backlog += p.Count()
					} else {
						live += p.Count()
					}
				}
			}
		}
		return live, backlog
	}
	expect := func(what string, live, backlog int) {
		t.Helper()
		if l, b := sent(); l != live || b != backlog {
			t.Errorf("%s: %d live and %d as backlog, want %d and %d", what, l, b, live, backlog)
		}
	}
	say(10) // on the record; 5 are acked
	expect("kept", 10, 0)
	o.Ack(4, now)
	o.SetKept(false)
	o.Resend(0, now)
	expect("asked again", 0, 0)
	say(10)
	expect("not kept", 10, 0)
	say(10)
	now = now.Add(2 * time.Second) // no socket for a while: too old to be heard
	expect("too late", 0, 0)
	if !o.SentAll() {
		t.Error("something waits to be sent")
	}
	say(3)
	if from, to := o.SetKept(true); from != 5 || to != 33 {
		t.Errorf("missing are %d to %d, want 5 to 33", from, to)
	}
	if from, to := o.SetKept(true); from < to {
		t.Errorf("told twice: %d to %d", from, to)
	}
	o.Reattach(-1, now)
	o.Resend(0, now)
	expect("on another edge", 0, 0)
	say(7)
	expect("kept again", 7, 0)
	o.Reattach(-1, now)
	o.Resend(0, now)
	expect("asked for again", 0, 7)
	o.Ack(39, now)
	if o.AckedAudio() != 12 || o.Passed() != 28 {
		t.Errorf("%d frames acked, %d let go, of 40", o.AckedAudio(), o.Passed())
	}
}

// A track for the log only has nothing to do in a room that keeps nothing, and does not wait either.
func TestLateTrackWhereNothingIsKept(t *testing.T) {
	o := New(1, 0, 8, 10, true, time.Time{})
	o.SetKept(false)
	for range 25 {
		if o.Full() {
			t.Fatal("full")
		}
		o.Add([]byte{9 << 3, 1, 2}, false, time.Time{})
	}
	if o.End(); !o.SentAll() || len(o.Backlog(nil, 100)) > 0 {
		t.Error("something waits to be sent")
	}
}
