package edge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airloom/internal/participant"
	"airloom/internal/room"
)

// talk sends frames in real time from seq on until the returned function is called, which gives the last seq.
func (s *stage) talk(from uint32) (hush func() uint32) {
	stop, last := make(chan struct{}), make(chan uint32)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for seq := from; ; {
			select {
			case <-tick.C:
				s.speaker.tryAudio(audio(s.t, s.track.Handle, 0, seq, 1, 0))
				seq++
			case <-stop:
				last <- seq - 1
				return
			}
		}
	}()
	return sync.OnceValue(func() uint32 { close(stop); return <-last })
}

// The log is behind: who rewinds waits and is told so, nothing is left out, and it goes on when the log has caught up.
func TestRewindWhileTheLogIsAway(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refill(s.speaker)
	s.say(0, 99)
	s.speaker.waitAck(s.track.Track, 0, 99)
	mend := s.h.breakLog()
	small := make([]atomic.Pointer[slot], 16) // grows to what 2.5 s need, and no further
	s.hub("hall").ring.slots.Store(&small)
	hush := s.talk(100)
	defer hush()
	until(t, "the ring has passed what the log has not", func() bool {
		r := s.hub("hall").ring
		oldest := r.get(r.oldest())
		return oldest != nil && oldest.first > 110
	})
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 16})
	late.playback(stateWaiting)
	if got := late.frames(s.track.Handle); len(got) < 100 {
		t.Errorf("%d frames are heard of what the log has", len(got))
	}
	if late.isLive() {
		t.Error("it is live while the log is behind")
	}
	mend()
	late.playback(stateLive)
	last := hush()
	var got []heardFrame
	until(t, "all is heard", func() bool { got = late.frames(s.track.Handle); return len(got) > int(last) })
	wholeFrom(t, "late", got, 0, last)
}

// The log has nothing yet of a room in which somebody speaks: who comes then, and wants all, hears all.
func TestRewindBeforeTheLogHasAnything(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.limits.hole = time.Minute
	mend := s.h.breakLog()
	s.say(0, 49)
	until(t, "it is heard live", func() bool { return len(s.listener.heard()) == 50 })
	soon, _ := s.join("hall", "soon", fields{"from": "start", "rate": 16})
	soon.playback(stateLive) // the ring has all
	small := make([]atomic.Pointer[slot], 2)
	s.hub("hall").ring.slots.Store(&small) // now it has nothing
	s.say(50, 50)
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 16})
	late.playback(stateWaiting)
	mend()
	late.playback(stateLive)
	s.say(51, 59)
	for who, p := range map[string]*peer{"soon": soon, "late": late} {
		var got []heardFrame
		until(t, "all is heard", func() bool { got = p.frames(s.track.Handle); return len(got) > 0 && got[len(got)-1].seq == 59 })
		wholeFrom(t, who, got, 0, 59)
	}
}

// Random seeks while a speaker goes on: after each answer all comes from the new place on, in order and once, and nothing of the
// place before.
func TestSeeksAtRandom(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refill(s.speaker)
	s.say(0, 199)
	s.speaker.waitAck(s.track.Track, 0, 199)
	hush := s.talk(200)
	defer hush()
	var seekers []*peer
	places := make([][]string, 6)
	var wg sync.WaitGroup
	for n := range places {
		p, _ := s.join("hall", fmt.Sprint("seeker", n), fields{"listen": false})
		seekers = append(seekers, p)
		wg.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(n)))
			for range 12 {
				from := []string{"start", "start", "live", fmt.Sprintf("-%dms", random.IntN(4000))}[random.IntN(4)]
				had := len(p.heard())
				p.request("listen", fields{"on": true, "from": from, "rate": 1 + random.IntN(16)})
				places[n] = append(places[n], from)
				if few := random.IntN(25); few > 0 { // else it seeks again at once
					until(t, "it hears something", func() bool { return len(p.heard()) > had+few })
				}
			}
			p.must("playback", "listen", fields{"on": true, "from": "start", "rate": 16})
			places[n] = append(places[n], "start")
		})
	}
	wg.Wait()
	for _, p := range seekers {
		until(t, "it is live", func() bool { last := p.lastPlayback(); return last.Re == 0 && last.State == stateLive })
	}
	last := hush()
	for n, p := range seekers {
		until(t, "all is heard", func() bool { f := p.frames(s.track.Handle); return len(f) > 0 && f[len(f)-1].seq == last })
		p.checkSeeks(s.track.Handle, fmt.Sprint("seeker ", n), places[n], last)
	}
}

func (p *peer) lastPlayback() (last inMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, m := range p.inbox {
		if m.Type == "playback" {
			last = *m
		}
	}
	return last
}

// checkSeeks holds what came between the answers to seeks against the places that were asked for.
func (p *peer) checkSeeks(handle uint32, who string, places []string, last uint32) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var answers []*inMessage
	for _, m := range p.inbox {
		again := len(answers) > 0 && answers[len(answers)-1].Re == m.Re // the next request came as this answer was being written
		if m.Type == "playback" && m.Re != 0 && !again {
			answers = append(answers, m)
		}
	}
	if len(answers) != len(places) {
		p.t.Fatalf("%s: %d answers to %d requests", who, len(answers), len(places))
	}
	for i, m := range answers {
		end := len(p.audio)
		if i+1 < len(answers) {
			end = answers[i+1].after
		}
		got := framesOf(p.t, p.audio[m.after:end], handle)
		if len(got) == 0 {
			continue // the next request was faster
		}
		if places[i] == "start" && got[0].seq != 0 {
			p.t.Errorf("%s: the start is seq %d", who, got[0].seq)
		}
		wholeFrom(p.t, fmt.Sprintf("%s at %s", who, places[i]), got, got[0].seq, got[0].seq+uint32(len(got))-1)
	}
	if final := framesOf(p.t, p.audio[answers[len(answers)-1].after:], handle); final[len(final)-1].seq != last {
		p.t.Errorf("%s: ends with %d, want %d", who, final[len(final)-1].seq, last)
	}
}

// Two edges: what one took, the other plays from the start, after the speaker's sockets were cut again and again, while it goes on,
// and after that. A listener whose socket is cut goes on where it was.
func TestRewindOnAnotherEdge(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d, e := h.edge(nil), h.edge(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
	defer cancel()
	p, err := participant.Join(ctx, participant.Config{URL: "http://" + d.addr, Room: "hall", Token: h.token("speaker", nil)})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	speaker, err := p.StartTrack(ctx, participant.TrackConfig{Name: "mic", Channels: 1, FrameMS: 20})
	if err != nil {
		t.Fatal(err)
	}
	listen := func(at *door, who string, rate float64) *participant.Participant {
		t.Helper()
		l, err := participant.Join(ctx, participant.Config{
			URL: "http://" + at.addr, Room: "hall", Listen: true, From: "start", Rate: rate, Token: h.token(who, nil),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		return l
	}
	const frames = 300
	var during *participant.Participant
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for seq := range uint32(frames) {
		<-tick.C
		if err := speaker.Send(ctx, opus(seq, 60), false); err != nil {
			t.Fatal(err)
		}
		switch {
		case seq == 140:
			during = listen(e, "during", 16)
		case seq == 160: // the listener's own socket is lost, too
			for _, s := range e.socketsNow() {
				s.conn.cut()
			}
		case seq%60 == 30 && seq < 140: // later, live listeners would miss what is sent again
			for _, s := range d.socketsNow() {
				s.conn.cut()
			}
		}
	}
	if err := speaker.End(ctx); err != nil {
		t.Fatal(err)
	}
	after := listen(e, "after", 16)
	same := listen(d, "same", 16)
	for who, l := range map[string]*participant.Participant{"during": during, "after": after, "same": same} {
		var heard, missing, doubled uint64
		until(t, who+" has heard all", func() bool {
			l.Received(func(r *participant.Receiver) {
				r.Flush()
				for _, in := range r.Tracks() {
					heard, missing, doubled = in.Frames, in.Missing(), in.Duplicates
				}
			})
			return heard >= frames
		})
		if heard != frames || missing != 0 || doubled != 0 {
			t.Errorf("%s: %d frames, %d missing, %d doubled", who, heard, missing, doubled)
		}
	}
}

// A hole near the head of the log is waited for, while other tracks go on; what is sent again in time is heard in its place, and
// what never comes is told.
func TestHoleNearTheHead(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.limits.hole = time.Second
	other := s.speaker.must("track", "track.start", fields{"name": "music", "channels": 1, "frame_ms": 20, "epoch": 0})
	s.say(0, 19)
	s.say(30, 39)
	s.speaker.sendAudio(audio(t, other.Handle, 0, 0, 30, 0))
	s.speaker.waitAck(other.Track, 0, 29)
	s.speaker.waitAck(s.track.Track, 0, 19)
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 16})
	until(t, "the other track is heard", func() bool { return len(late.frames(other.Handle)) == 30 })
	wholeFrom(t, "before the hole", late.frames(s.track.Handle), 0, 19)
	s.pack(20, 29)
	until(t, "the hole is filled", func() bool { return len(late.frames(s.track.Handle)) == 40 })
	late.playback(stateLive)
	wholeFrom(t, "late", late.frames(s.track.Handle), 0, 39)

	s.say(50, 59) // and 40–49 never come
	until(t, "they are in the log", func() bool { return s.logged() == 50 })
	later, _ := s.join("hall", "later", fields{"from": "start", "rate": 16})
	m := later.findType("skipped")
	if want := fmt.Sprintf(`[{"track":%q,"epoch":0,"from":40,"to":49}]`, s.track.Track); m.Reason != "gap" || string(m.Tracks) != want {
		t.Errorf("told %s: %s", m.Reason, m.Tracks)
	}
	later.playback(stateLive)
	got := later.frames(s.track.Handle)
	wholeFrom(t, "later", got[:40], 0, 39)
	wholeFrom(t, "later", got[40:], 50, 59)
}

// The room stops keeping its sound while somebody rewinds: nothing waits for what the log will never have.
func TestRewindWhereKeepingStops(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 49)
	s.speaker.waitAck(s.track.Track, 0, 49)
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 1}) // takes no less than a second
	s.set("hall", room.Settings{Keep: room.KeepNone, Speak: room.SpeakGranted})
	until(t, "nothing is kept", func() bool { return s.hub("hall").info().Keep == room.KeepNone })
	s.say(50, 79)
	late.must("playback", "listen", fields{"on": true, "from": "live"})
	s.say(80, 89)
	until(t, "it hears live", func() bool { f := late.frames(s.track.Handle); return len(f) > 0 && f[len(f)-1].seq == 89 })
}
