package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airloom/internal/participant"
	"airloom/internal/room"
)

// installation is one that runs, and all places where its processes may leave something.
type installation struct {
	one, two string // doors; the same one in `up`
	dirs     []string
	says     func() string // what its processes have printed
	stop     func()
}

// upHere is `airloom up` on a fresh folder.
func upHere(t *testing.T) installation {
	t.Helper()
	data, temp := filepath.Join(t.TempDir(), "data"), t.TempDir()
	p := start(t, "up", []string{"TMPDIR=" + temp}, airloom, "up", "--data", data, "--listen", "127.0.0.1:0", "--log-level", "debug")
	url := p.ready(t)
	return installation{
		one: url, two: url, dirs: []string{data, temp, p.cmd.Dir},
		says: func() string { return p.out.String() + p.errs.String() },
		stop: func() { stopAll(t, p) },
	}
}

// apartHere is a nats-server and services, each a process.
func apartHere(t *testing.T) installation {
	t.Helper()
	temp := t.TempDir()
	nats := startNATS(t, natsConf{})[0]
	f := newFabric(t, nats.url())
	f.env = []string{"TMPDIR=" + temp}
	presence, recorder, one, two := f.presence(), f.recorder(), f.edge(), f.edge()
	all := []*process{one.process, two.process, presence.process, recorder.process, nats.process}
	dirs := []string{filepath.Dir(nats.conf), f.blob, temp}
	for _, p := range all {
		dirs = append(dirs, p.cmd.Dir)
	}
	return installation{
		one: one.url, two: two.url, dirs: dirs,
		says: func() (text string) {
			for _, p := range all {
				text += p.out.String() + p.errs.String()
			}
			return text
		},
		stop: func() { stopAll(t, all...) },
	}
}

// stopAll interrupts one after the other and waits.
func stopAll(t *testing.T, all ...*process) {
	t.Helper()
	for _, p := range all {
		p.interrupt(t)
		p.wait(t, 20*time.Second)
	}
}

var installations = map[string]func(*testing.T) installation{"up": upHere, "apart": apartHere}

// With `keep: none` no frame reaches a disk: not the log, not a recording, not a temporary file, not a line of a log. That
// the search would find one is shown by a room beside it that records.
func TestKeepNoneLeavesNothingOnDisk(t *testing.T) {
	t.Parallel()
	const last = 149
	for name, begin := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := begin(t)
			run(t, nil, "room", "--url", in.two, "create", "off-record", "--keep", "none").ok()
			run(t, nil, "room", "--url", in.two, "create", "on-record", "--keep", "record").ok()
			off, on := newHearer(t, in.two, "off-record"), newHearer(t, in.two, "on-record")
			secret, public := newMouth(t, in.one, "off-record"), newMouth(t, in.one, "on-record")
			secret.say(0, last)
			public.say(0, last)
			public.acked(last)
			for what, c := range map[string]struct {
				h *hearer
				m *mouth
			}{"off the record": {off, secret}, "on the record": {on, public}} {
				eventually(t, 10*time.Second, "all is heard "+what, func() bool { return slices.Equal(c.h.frames(c.m), numbers(0, last)) })
			}
			secret.leave()
			public.leave()
			closedTrack(t, in.two, "on-record", public.track.Track()) // the recorder has come so far
			for _, when := range []string{"running", "stopped"} {
				if frames, where := secret.onDisk(in.dirs...); len(frames) > 0 {
					t.Errorf("%s: %d frames of a room that keeps nothing are in %v", when, len(frames), where)
				}
				if frames, where := public.onDisk(in.dirs...); !slices.Equal(frames, numbers(0, last)) || len(where) < 2 {
					t.Errorf("%s: this search finds %d of %d frames of a room that records, in %v", when, len(frames), last+1, where)
				}
				for _, dir := range in.dirs { // nor a message of its tracks in the audio log
					for _, path := range files(t, dir) {
						if strings.Contains(path, "LOG_") && holds(t, path, ".off-record.") {
							t.Errorf("%s: %s holds messages of a room that keeps nothing", when, path)
						}
					}
				}
				if when == "running" {
					in.stop()
				}
			}
			if strings.Contains(in.says(), secret.mark) || strings.Contains(in.says(), public.mark) {
				t.Error("frames are in what the processes printed")
			}
		})
	}
}

// keep goes none, record, none while somebody speaks: exactly what was said under record is kept, and those in the room were
// told before.
func TestKeepChangesWhileSpeaking(t *testing.T) {
	t.Parallel()
	for name, begin := range installations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := begin(t)
			keep := func(k room.Keep) {
				t.Helper()
				run(t, nil, "room", "--url", in.two, "create", "hall", "--keep", string(k)).ok()
			}
			keep(room.KeepNone)
			h, m := newHearer(t, in.two, "hall"), newMouth(t, in.one, "hall")
			told := func(k room.Keep) {
				t.Helper()
				eventually(t, 5*time.Second, "the speaker is told of keep "+string(k), func() bool { return m.joined.Session().Room.Keep == k })
			}
			told(room.KeepNone)
			m.say(0, 49)
			keep(room.KeepRecord)
			told(room.KeepRecord)
			m.say(50, 99)
			m.acked(99)
			keep(room.KeepNone)
			told(room.KeepNone)
			m.say(100, 149)
			eventually(t, 10*time.Second, "all is heard", func() bool { return slices.Equal(h.frames(m), numbers(0, 149)) })
			m.leave()
			_, track := closedTrack(t, in.two, "hall", m.track.Track())
			if track.Frames != 50 {
				t.Errorf("%d frames are recorded, of 50 that were said on the record", track.Frames)
			}
			in.stop()
			if frames, where := m.onDisk(in.dirs...); !slices.Equal(frames, numbers(50, 99)) {
				t.Errorf("frames %v are in %v", frames, where)
			}
		})
	}
}

// A room begins to keep while a speaker is between two edges: what it said before is not kept, though it was never acked.
func TestKeepBeginsWhileASpeakerIsAway(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, natsConf{})[0]
	f := newFabric(t, nats.url())
	f.presence()
	f.recorder()
	one, two := f.edge(), f.edge()
	set := func(k room.Keep) {
		t.Helper()
		f.cli("room", "--url", two.url, "create", "hall", "--keep", string(k)).ok()
	}
	set(room.KeepNone)
	h, m := newHearer(t, two.url, "hall"), newMouth(t, one.url+","+two.url, "hall", f.speakerToken("ada"))
	m.say(0, 49)
	eventually(t, 5*time.Second, "it is heard", func() bool { return slices.Equal(h.frames(m), numbers(0, 49)) })
	one.kill()
	set(room.KeepRecord)
	eventually(t, 15*time.Second, "it is back on the other edge", func() bool { return m.joined.Session().Room.Keep == room.KeepRecord })
	m.say(50, 99)
	m.acked(99)
	m.leave()
	_, track := closedTrack(t, two.url, "hall", m.track.Track())
	if track.Frames != 50 {
		t.Errorf("%d frames are recorded, of 50 that were said on the record", track.Frames)
	}
	if frames, where := m.onDisk(filepath.Dir(nats.conf), f.blob); !slices.Equal(frames, numbers(50, 99)) {
		t.Errorf("frames %v are in %v", frames, where)
	}
}

// What an installation keeps by default is what its help says, and whoever joins is told before speaking.
func TestKeepByDefault(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, natsConf{})[0]
	f := newFabric(t, nats.url())
	edge := f.start("edge", f.nats, "--listen", "127.0.0.1:0", "--key", f.key, "--dev-tokens", "--drain", "1s")
	for url, want := range map[string]room.Keep{edge.url: room.KeepRewind, upHere(t).one: room.KeepRecord} {
		joined, err := participant.Join(t.Context(), participant.Config{URL: url, Room: "hall", Name: "guest"})
		if err != nil {
			t.Fatal(err)
		}
		if got := joined.Session().Room.Keep; got != want {
			t.Errorf("%s keeps %s, want %s", url, got, want)
		}
		joined.Close()
	}
}
