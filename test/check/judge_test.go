package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

func factOf(position uint64, fact room.Fact) *room.Event {
	return &room.Event{Position: position, Room: "hall", At: time.Unix(int64(position), 0), Fact: fact}
}

// Each join and each leave is in the log once: a second one of either is told.
func TestDoublesInTheLogAreTold(t *testing.T) {
	t.Parallel()
	join, left := room.Joined{Session: "s1"}, room.Left{Session: "s1", Reason: room.Bye}
	for what, c := range map[string]struct {
		facts        []room.Fact
		there, twice int
	}{
		"once":             {[]room.Fact{join, left}, 0, 0},
		"has not left":     {[]room.Fact{join}, 1, 0},
		"joined twice":     {[]room.Fact{join, join, left}, 0, 1},
		"left twice":       {[]room.Fact{join, left, left}, 0, 1},
		"left, not joined": {[]room.Fact{left}, 0, 1},
	} {
		h := &history{}
		for i, fact := range c.facts {
			h.events = append(h.events, factOf(uint64(i+1), fact))
		}
		if _, there, twice := leaves(map[string]*history{"hall": h}); len(there) != c.there || len(twice) != c.twice {
			t.Errorf("%s: there %v, twice %v", what, there, twice)
		}
	}
}

// What may come twice is what an echo says while a session lasts, or what somebody passes on late who stood still meanwhile.
func TestOnlyAnEchoExplainsDoubles(t *testing.T) {
	t.Parallel()
	zero := time.Unix(1000, 0)
	at := func(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }
	r := &run{spans: []span{{"freeze", at(0), at(4)}, {"echo", at(10), at(12)}, {"freeze", at(11), at(20)}, {"kill", at(40), at(41)}}}
	for _, c := range []struct {
		from, to          float64
		echoed, disturbed bool
	}{{0, 9, false, true}, {5, 11, true, true}, {15, 16, true, true}, {21, 30, true, true}, {23, 30, false, false}, {39, 45, false, true}} {
		s := stay{from: at(c.from), to: at(c.to), tracks: []came{{1, 2, 0}, {2, 0, 3}}}
		if may, disturbed := r.mayDouble(s), r.disturbed(s.from, s.to); may != c.echoed || disturbed != c.disturbed {
			t.Errorf("%v to %v: may double %v, disturbed %v", c.from, c.to, may, disturbed)
		}
		if wrong := s.wrong(c.disturbed); len(wrong) == 0 || c.disturbed != (len(wrong) == 1) {
			t.Errorf("%v to %v: %v", c.from, c.to, wrong)
		}
		if s.moved = true; !r.mayDouble(s) {
			t.Error("a session that moved may hear a frame twice")
		}
	}
}

// A tape notes live packets that come twice, and of which tracks nothing live came behind the seam.
func TestTapeJudgesWhatIsLive(t *testing.T) {
	t.Parallel()
	packet := func(handle, seq uint32, flags frame.Flags) []byte {
		b, err := frame.AppendAudio(nil, frame.Header{Handle: handle, Seq: seq, Flags: flags}, sound(uint64(handle), seq))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two := frame.TrackID(1), frame.TrackID(2)
	tape := newTape("rewinder", "hall", "start", 1)
	tape.packets(slices.Concat(packet(1, 0, frame.Backlog), packet(1, 1, 0), packet(2, 0, 0)))
	if deaf := tape.deaf([]string{one, two}); len(deaf) != 2 {
		t.Errorf("before the seam: deaf to %v", deaf)
	}
	tape.liveAt = time.Now()
	tape.packets(slices.Concat(packet(1, 2, 0), packet(2, 1, frame.Backlog)))
	if deaf := tape.deaf([]string{one, two}); !slices.Equal(deaf, []string{two}) {
		t.Errorf("behind the seam: deaf to %v", deaf)
	}
	if len(tape.again)+len(tape.wrong) != 0 {
		t.Errorf("complains of %v %v", tape.again, tape.wrong)
	}
	if tape.packets(packet(1, 2, 0)); len(tape.again) != 1 || len(tape.wrong) != 0 {
		t.Errorf("of a live packet that came twice: %v %v", tape.again, tape.wrong)
	}
	if tape.packets(packet(2, 1, frame.Backlog)); len(tape.wrong) != 1 {
		t.Errorf("of a packet of the past that came twice: %v", tape.wrong)
	}
}

// No two faults hold a process at a time, in whatever order they name theirs, and none waits for ever.
func TestFaultsHoldTheirProcessesAlone(t *testing.T) {
	t.Parallel()
	c := &cluster{}
	holders := map[string]*atomic.Int32{}
	for _, name := range slices.Concat(nodeNames, serviceNames) {
		c.all = append(c.all, &process{name: name})
		holders[name] = &atomic.Int32{}
	}
	var all sync.WaitGroup
	for i := range 8 {
		rng := dice(uint64(i), "hold")
		all.Go(func() {
			for range 200 {
				on := twoNodesAndAnEdge(rng)
				rng.Shuffle(len(on), func(i, j int) { on[i], on[j] = on[j], on[i] })
				release := c.hold(append(on, "echo"))
				for _, name := range on {
					if holders[name].Add(1) != 1 {
						t.Errorf("%s is held twice", name)
					}
				}
				for _, name := range on {
					holders[name].Add(-1)
				}
				release()
			}
		})
	}
	all.Wait()
}

// What a recording holds of a track follows from the events: where it was started, and where it was stopped while people spoke on.
func TestClipsFollowFromTheEvents(t *testing.T) {
	t.Parallel()
	h := &history{state: room.NewState("hall", defaults), clips: newClips()}
	h.state.KeepOver = true
	track := func(handle uint32) room.TrackStarted {
		return room.TrackStarted{Track: frame.TrackID(handle), Handle: handle, Session: "s1", Name: "mic", Channels: 1, FrameMS: frameMS}
	}
	for i, fact := range []room.Fact{
		room.Joined{Session: "s1", Identity: "ada"},
		track(1), // 2
		track(2),
		room.RecordingStarted{Recording: "r1", Since: 2, By: room.ByKeep},
		room.TrackEnded{Track: frame.TrackID(2), Last: 9}, // 5
		room.TrackClosed{Track: frame.TrackID(2), Through: 40},
		room.RecordingStopping{Recording: "r1"},
		track(3), // 8: between the halt and the stop
		room.RecordingStopped{Recording: "r1", Through: 50},
		room.RecordingStarted{Recording: "r2", From: 60, By: "ada"}, // 10
		track(4),
		room.RecordingStopped{Recording: "r2"}, // somebody thought that all had ended
		room.TrackEnded{Track: frame.TrackID(1), Last: 99},
		room.TrackClosed{Track: frame.TrackID(1), Through: 90},
		room.TrackClosed{Track: frame.TrackID(1), Through: 95}, // 15: the first one holds
	} {
		h.clips.apply(factOf(uint64(i+1), fact), h.state, h.state.Apply)
	}
	var got []string
	for _, rec := range h.clips.recordings {
		for handle := range uint32(4) {
			id := frame.TrackID(handle + 1)
			if _, member := rec.clips[id]; !member {
				continue
			}
			one, known := h.clips.of(rec.id, id)
			got = append(got, fmt.Sprintf("%s %d (%d, %d] %v", rec.id, handle+1, one.from, one.through, known))
		}
	}
	want := "r1 1 (0, 50] true\nr1 2 (0, 40] true\nr1 3 (0, 50] true\nr2 1 (60, 90] true\nr2 3 (60, 0] false\nr2 4 (0, 0] false"
	if strings.Join(got, "\n") != want {
		t.Errorf("clips are\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	for position, lets := range map[uint64]bool{50: false, 51: true, 60: true, 61: false, 90: false, 91: false} {
		if h.clips.lets(frame.TrackID(1), position) != lets {
			t.Errorf("what track 1 has at %d may be in no recording: want %v", position, lets)
		}
	}
	if h.clips.lets(frame.TrackID(2), 41) {
		t.Error("of a track that was over before the stop nothing may be missing")
	}
	log := audioLog{}
	at := place{frame.TrackID(1), 0, 7}
	log[at] = []copyOf{{30, []byte{1}}, {70, []byte{2}}, {80, []byte{3}}}
	if one, ok := log.first(at, clip{60, 90}); !ok || one.position != 70 {
		t.Errorf("of three copies %v counts behind 60", one)
	}
}
