package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// heardFrame is one frame as a peer heard it.
type heardFrame struct {
	epoch   uint8
	seq     uint32
	past    bool
	payload []byte
}

// frames takes what a peer heard of one track apart; silence is as many frames without payload.
func (p *peer) frames(handle uint32) []heardFrame {
	p.t.Helper()
	return framesOf(p.t, p.heard(), handle)
}

func framesOf(t testing.TB, messages [][]byte, handle uint32) (all []heardFrame) {
	t.Helper()
	for _, message := range messages {
		if len(message) > maxListened {
			t.Fatalf("a message of %d bytes", len(message))
		}
		for len(message) > 0 {
			var one frame.Packet
			rest, err := frame.Parse(message, &one)
			if err != nil {
				t.Fatal(err)
			}
			message = rest
			if one.Handle != handle {
				continue
			}
			past := one.Flags&frame.Backlog != 0
			for f := range one.Frames {
				all = append(all, heardFrame{one.Epoch, f.Seq, past, bytes.Clone(f.Payload)})
			}
			for i := range one.Count() {
				if one.Kind == frame.Silence {
					all = append(all, heardFrame{one.Epoch, one.Seq + uint32(i), past, nil})
				}
			}
		}
	}
	return all
}

// wholeFrom makes sure that frames are those of seq from on, in order, each once and unaltered.
func wholeFrom(t testing.TB, who string, got []heardFrame, from, to uint32) {
	t.Helper()
	for i, f := range got {
		seq := from + uint32(i)
		if f.seq != seq {
			t.Fatalf("%s: frame %d is seq %d, want %d (of %d)", who, i, f.seq, seq, len(got))
		}
		if f.payload != nil && !bytes.Equal(f.payload, opus(seq, 40)) {
			t.Fatalf("%s: seq %d is % x", who, seq, f.payload)
		}
	}
	if last := from + uint32(len(got)) - 1; last != to {
		t.Fatalf("%s: ends with seq %d, want %d", who, last, to)
	}
}

func (p *peer) playback(state string) *inMessage {
	p.t.Helper()
	return p.find("playback "+state, func(m *inMessage) bool { return m.Type == "playback" && m.State == state })
}

func (p *peer) isLive() bool {
	return p.count(func(m *inMessage) bool { return m.Type == "playback" && m.State == stateLive }) > 0
}

// pack sends frames as one backlog packet, which goes to the log alone.
func (s *stage) pack(from, to uint32) {
	s.t.Helper()
	s.speaker.sendAudio(audio(s.t, s.track.Handle, 0, from, int(to-from)+1, frame.Backlog))
}

// A late listener hears the room from its start, then goes on live: nothing is missing, double or altered.
func TestRewindFromTheStart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 99)
	s.speaker.waitAck(s.track.Track, 0, 99)
	late, _ := s.join("hall", "late", fields{"listen": false})
	answer := late.must("playback", "listen", fields{"on": true, "from": "start", "rate": 16})
	if answer.State != statePast || answer.Rate != 16 || answer.Window.From == nil || answer.Clamped != "" {
		t.Errorf("answer %+v", *answer)
	}
	late.playback(stateLive)
	s.say(100, 129)
	until(t, "all is heard", func() bool { return len(late.frames(s.track.Handle)) >= 130 })
	got := late.frames(s.track.Handle)
	wholeFrom(t, "late", got, 0, 129)
	if !got[0].past || got[129].past {
		t.Error("the past carries BACKLOG, live sound does not")
	}
}

// What was sent again lies late in the log, and is heard where it belongs.
func TestRewindPutsResendsInOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 19)
	s.say(40, 59)
	s.say(100, 119)
	s.speaker.sendAudio(mustSilence(t, s.track.Handle, 60, 40))
	s.pack(30, 39)
	s.pack(20, 34) // doubles a part
	s.speaker.waitAck(s.track.Track, 0, 119)
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 16})
	late.playback(stateLive)
	wholeFrom(t, "late", late.frames(s.track.Handle), 0, 119)
}

func mustSilence(t *testing.T, handle, seq uint32, span int) []byte {
	t.Helper()
	b, err := frame.AppendSilence(nil, frame.Header{Handle: handle, Seq: seq, Timestamp: seq * frameSamples, Flags: frame.Backlog}, uint16(span), 8)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Seqs that the log does not have are told where they are missing, and a room whose speaker has gone is described.
func TestRewindTellsHolesAndNames(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 19)
	s.say(40, 59)
	s.speaker.must("ok", "gap", fields{"track": s.track.Track, "epoch": 0, "from": 20, "to": 39})
	s.speaker.waitAck(s.track.Track, 0, 59)
	s.speaker.must("ok", "leave", nil)
	until(t, "the speaker is gone", func() bool { return s.state("hall").OpenTracks() == 0 })
	late, _ := s.join("hall", "late", fields{"from": "start", "rate": 16})
	late.playback(stateLive)
	got := late.frames(s.track.Handle)
	wholeFrom(t, "late", got[:20], 0, 19)
	wholeFrom(t, "late", got[20:], 40, 59)
	told := late.findType("skipped")
	var gaps []skippedTrack
	if err := json.Unmarshal(told.Tracks, &gaps); err != nil || len(gaps) != 1 || gaps[0] != (skippedTrack{s.track.Track, 0, 20, 39}) || told.Reason != "gap" {
		t.Errorf("told %s of %s: %v", told.Reason, told.Tracks, err)
	}
	described := late.find("the track's description", func(m *inMessage) bool { return m.Type == "playback" && len(m.Tracks) > 0 })
	var tracks []pastTrack
	if err := json.Unmarshal(described.Tracks, &tracks); err != nil || len(tracks) != 1 || tracks[0].Identity != "speaker" ||
		tracks[0].Name != "mic" || tracks[0].Handle != s.track.Handle || tracks[0].Participant != "speaker" {
		t.Errorf("described as %s: %v", described.Tracks, err)
	}
}

// Row 52: places that cannot be are refused, places outside what is kept are moved to its end and told.
func TestRow52Places(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	for i, from := range []string{"-9223372036854775809ns", "-300y", "30s", "9223372036854775808", "noon", "-", "2026-13-01T00:00:00Z", "live "} {
		p, _ := s.join("hall", fmt.Sprint("bad", i), fields{"listen": false})
		p.refused("bad_message", "listen", fields{"on": true, "from": from})
		p.must("ok", "leave", nil)
	}
	for i, f := range []fields{{"on": true, "from": 30}, {"on": true, "from": "start", "rate": 17}, {"on": true, "from": "start", "rate": -1}, {"on": false, "from": "start"}} {
		p, _ := s.join("hall", fmt.Sprint("worse", i), fields{"listen": false})
		p.refused("bad_message", "listen", f)
		p.must("ok", "leave", nil)
	}
	late, _ := s.join("hall", "late", fields{"listen": false})
	for from, clamped := range map[string]string{"1970-01-01T00:00:00Z": "before_window", "-2562047h": "before_window", "9999-12-31T23:59:59Z": "after_window"} {
		if m := late.must("playback", "listen", fields{"on": true, "from": from}); m.Clamped != clamped || (clamped == "after_window") != (m.State == stateLive) {
			t.Errorf("%s: %+v", from, *m)
		}
	}
	w := late.must("window", "window", nil)
	if w == nil || late.count(func(m *inMessage) bool { return m.Code != "" }) > 0 {
		t.Error("no window")
	}
	p := s.dial()
	p.refused("bad_message", "hello", helloFields("hall", s.h.token("bad", nil), fields{"from": "noon"}))
	p.endsWith(1008)
}

// Row 53: a place ahead of the live edge is the live edge.
func TestRow53AheadOfTheLiveEdge(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.say(0, 9)
	s.speaker.waitAck(s.track.Track, 0, 9)
	p, _ := s.join("hall", "ahead", fields{"from": time.Now().Add(time.Hour).Format(time.RFC3339)})
	if m := p.findType("playback"); m.State != stateLive || m.Clamped != "after_window" {
		t.Errorf("%+v", *m)
	}
	until(t, "it listens live", func() bool { return s.listeners("hall") == 3 })
	s.say(10, 19)
	until(t, "live sound", func() bool { f := p.frames(s.track.Handle); return len(f) > 0 && f[len(f)-1].seq == 19 })
}

// listeners counts the sockets that hear the room's ring.
func (d *door) listeners(name string) (n int) {
	for _, s := range d.hub(name).shares {
		s.mu.Lock()
		n += len(s.conns)
		s.mu.Unlock()
	}
	return n
}

// A room that keeps nothing has no past: that is told, and a hello listens live all the same.
func TestRewindWhereNothingIsKept(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.set("hall", room.Settings{Keep: room.KeepNone, Speak: room.SpeakGranted})
	until(t, "nothing is kept", func() bool { return s.hub("hall").info().Keep == room.KeepNone })
	p, _ := s.join("hall", "late", fields{"from": "start"})
	p.find("not_kept", func(m *inMessage) bool { return m.Code == "not_kept" && !m.Fatal })
	p.refused("not_kept", "listen", fields{"on": true, "from": "-10s"})
	if w := p.must("window", "window", nil); w == nil {
		t.Error("no window")
	}
	s.say(0, 9)
	until(t, "it hears live", func() bool { return len(p.frames(s.track.Handle)) == 10 })
}

// While a speaker goes on in real time, many listeners seek at random: each hears, from each place it chose, everything in order
// and once, over the seam and on.
func TestSeamWhileASpeakerGoesOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.refill(s.speaker)
	s.say(0, 199)
	s.speaker.waitAck(s.track.Track, 0, 199)
	stop, done := make(chan struct{}), make(chan uint32)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		seq := uint32(200)
		for {
			select {
			case <-tick.C:
				s.speaker.tryAudio(audio(t, s.track.Handle, 0, seq, 1, 0))
				seq++
			case <-stop:
				done <- seq - 1
				return
			}
		}
	}()
	var listeners []*peer
	for i := range 12 {
		f := fields{"from": "start", "rate": 16}
		if i%3 == 1 {
			f["from"] = fmt.Sprintf("-%dms", 300*i)
		}
		p, _ := s.join("hall", fmt.Sprintf("late%d", i), f)
		listeners = append(listeners, p)
	}
	for _, p := range listeners {
		p.playback(stateLive)
	}
	until(t, "a while passes live", func() bool { return len(s.listener.heard()) > 320 })
	close(stop)
	last := <-done
	for i, p := range listeners {
		var got []heardFrame
		until(t, "all is heard", func() bool {
			got = p.frames(s.track.Handle)
			return len(got) > 0 && got[len(got)-1].seq >= last
		})
		from := got[0].seq
		if i%3 != 1 && from != 0 {
			t.Errorf("listener %d began with seq %d", i, from)
		}
		wholeFrom(t, fmt.Sprint("listener ", i), got, from, last)
	}
}
