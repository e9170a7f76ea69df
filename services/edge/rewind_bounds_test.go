package edge

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/subject"
)

// Two hundred listeners rewind over the same minute: the log is read about as often as for one of them, and what is remembered
// stays within its bound.
func TestManyRewindTheSameMinutes(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(nil)
	d.fill("hall", 7, 300, 10) // a minute of sound
	until(t, "the log has it", func() bool { return len(d.logMessages(t)) == 300 })
	all := func(p *peer) bool { return len(p.frames(7)) == 3000 }
	one, _ := d.join("hall", "one", fields{"from": "start", "rate": 16})
	within(t, 30*time.Second, "one has heard all", func() bool { return all(one) })
	wholeFrom(t, "one", one.frames(7), 0, 2999)
	reads, listeners := d.metrics.tapeReads.Load(), 200
	d.tape.drop(d.hub("hall").reel) // nothing is remembered
	var wg sync.WaitGroup
	peers := make([]*peer, listeners)
	for i := range peers {
		peers[i], _ = d.join("hall", fmt.Sprint("late", i), fields{"listen": false})
	}
	for _, p := range peers {
		wg.Go(func() { p.request("listen", fields{"on": true, "from": "start", "rate": 16}) })
	}
	wg.Wait()
	for _, p := range peers {
		within(t, 60*time.Second, "each has heard all", func() bool { return all(p) })
	}
	again := d.metrics.tapeReads.Load() - reads
	t.Logf("one listener: %d reads of the log, %d listeners: %d, %d spans were remembered", reads, listeners, again, d.metrics.tapeHits.Load())
	if again > 4*reads {
		t.Errorf("%d listeners read the log %d times, one reads it %d times", listeners, again, reads)
	}
	if n := d.metrics.tapeBytes.Load(); n > tapeBytes {
		t.Errorf("%d bytes are remembered", n)
	}
	until(t, "nothing is held back", func() bool { return d.tape.ahead.Load() == 0 })
}

// Who rewinds and does not read costs a ring, is not skipped, and is cut after a while; others go on.
func TestStalledRewinder(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.stuck = time.Second })
	for i := range uint32(500) { // of a high bit rate, so that buffers fill soon
		packet, err := frame.AppendAudio(nil, frame.Header{Handle: 7, Seq: 5 * i, Timestamp: 5 * i * frameSamples},
			opus(5*i, 1200), opus(5*i+1, 1200), opus(5*i+2, 1200), opus(5*i+3, 1200), opus(5*i+4, 1200))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.bus.JetStream().Publish(d.h.ctx(), subject.Log(region, "hall", frame.TrackID(7)), packet); err != nil {
			t.Fatal(err)
		}
	}
	c := dialSmall(t, d.addr)
	stalled := d.connect(c) // nobody reads it
	stalled.request("hello", helloFields("hall", d.h.token("stalled", nil), fields{"from": "start", "rate": 16}))
	until(t, "it plays", func() bool { return d.metrics.rewinding.Load() == 1 })
	within(t, 20*time.Second, "it is cut", func() bool { return d.metrics.slowClosed.Load() == 1 })
	until(t, "its player ends", func() bool { return d.metrics.rewinding.Load() == 0 })
	if n := d.metrics.skipped.Load(); n != 0 {
		t.Errorf("%d packets were skipped", n)
	}
	other, _ := d.join("hall", "other", fields{"from": "start", "rate": 16})
	until(t, "the other one hears", func() bool { return len(other.frames(7)) > 500 })
}

// The rate is kept: two seconds at once, then so many seconds of sound in a second; a pause of the socket is not caught up with a
// burst beyond two seconds.
func TestRewindKeepsItsRate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.speaker.sendAudio(audio(t, s.track.Handle, 0, 0, 50, 0))
	for seq := uint32(50); seq < 1000; seq += 50 { // 20 s of sound within a moment, as an upload brings it
		s.speaker.sendAudio(audio(t, s.track.Handle, 0, seq, 50, 1<<1))
	}
	s.speaker.waitAck(s.track.Track, 0, 999)
	for _, rate := range []int{1, 8} {
		p, _ := s.join("hall", fmt.Sprint("at", rate), fields{"listen": false})
		began := time.Now()
		p.must("playback", "listen", fields{"on": true, "from": "start", "rate": rate})
		until(t, "the first two seconds", func() bool { return len(p.frames(s.track.Handle)) >= 100 })
		if took := time.Since(began); took > time.Second {
			t.Errorf("rate %d: the first two seconds of sound came after %v", rate, took)
		}
		until(t, "a second passes", func() bool { return time.Since(began) > time.Second })
		heard, passed := len(p.frames(s.track.Handle)), time.Since(began).Seconds()
		if most := 50 * (2 + 1 + float64(rate)*1.2*(passed+0.1)); float64(heard) > most {
			t.Errorf("rate %d: %d frames after %.2f s, at most %.0f", rate, heard, passed, most)
		}
		if rate == 1 && heard > 300 {
			t.Errorf("rate 1: %d frames within a second", heard)
		}
		wholeFrom(t, fmt.Sprint("rate ", rate), p.frames(s.track.Handle)[:heard], 0, uint32(heard-1))
	}
}

// BenchmarkSeekToSound is the time from the request to the first packet of a place in an hour of sound, on a tape that remembers nothing
// and on one that others have read.
func BenchmarkSeekToSound(b *testing.B) {
	for _, warm := range []bool{false, true} {
		b.Run(fmt.Sprintf("remembered=%v", warm), func(b *testing.B) {
			d := newHouse(b).edge(nil)
			d.fill("hall", 7, 3000, 50) // 50 min
			p, _ := d.join("hall", "late", fields{"listen": false})
			hub := d.hub("hall")
			soon := time.NewTicker(100 * time.Microsecond)
			defer soon.Stop()
			var sum time.Duration
			for b.Loop() {
				if !warm {
					d.tape.drop(hub.reel)
					d.tape.mu.Lock()
					clear(hub.reel.found)
					hub.reel.window = windowKnown{}
					d.tape.mu.Unlock()
				}
				had := len(p.heard())
				began := time.Now()
				for _, known := range d.socketsNow() {
					known.rewind(known.session.Load(), "start", 1, 0)
				}
				for len(p.heard()) == had {
					<-soon.C
				}
				sum += time.Since(began)
			}
			b.ReportMetric(float64(sum.Microseconds())/float64(b.N)/1000, "ms/seek")
		})
	}
}
