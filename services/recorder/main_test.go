package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	quiet    = slog.New(slog.DiscardHandler)
	defaults = room.Settings{Keep: room.KeepRecord, Speak: room.SpeakGranted}
)

// speech is real Opus: frames of 20 ms from a recorded voice, as many as were asked for (from the beginning again where
// the voice is shorter).
func speech(t *testing.T, count int) [][]byte {
	t.Helper()
	voice := voiceOnce(t)
	out := make([][]byte, count)
	for i := range out {
		out[i] = voice[i%len(voice)]
	}
	return out
}

var voiceOnce = func() func(*testing.T) [][]byte {
	var once sync.Once
	var frames [][]byte
	return func(t *testing.T) [][]byte {
		t.Helper()
		once.Do(func() { frames = encode(t) })
		if len(frames) == 0 {
			t.Fatal("no voice")
		}
		return frames
	}
}()

func encode(t *testing.T) (frames [][]byte) {
	t.Helper()
	const dir = "/usr/share/asterisk/sounds/en_US_f_Allison" // Debian: asterisk-core-sounds-en-wav
	out := filepath.Join(t.TempDir(), "voice.opus")
	tool(t, "opusenc", "--quiet", "--bitrate", "24", filepath.Join(dir, "demo-congrats.wav"), out)
	file, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	in, err := ogg.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	for {
		p, err := in.Next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, bytes.Clone(p.Payload))
	}
}

func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// region is a running NATS with its streams.
type region struct {
	t      *testing.T
	server *bus.Server
	edge   *bus.Bus
	log    *eventlog.Log
}

func newRegion(t *testing.T) *region {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: "eu", Lazy: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r := &region{t: t, server: server}
	if err := r.connect(bus.Admin).EnsureStreams(t.Context(), bus.Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	r.edge = r.connect(bus.Edge)
	r.log = eventlog.New(r.edge, "eu", "edge-test", defaults, quiet)
	return r
}

func (r *region) connect(role bus.Role) *bus.Bus {
	r.t.Helper()
	b, err := bus.Connect(r.t.Context(), r.server.Config(role), quiet)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(b.Close)
	return b
}

// quick is a recorder in a hurry.
func quick() Config {
	return Config{
		Region: "eu", Gather: 5 * time.Millisecond, Checkpoint: 20 * time.Millisecond, Live: 20 * time.Millisecond,
		Grace: 100 * time.Millisecond, Retry: 50 * time.Millisecond, Drain: 10 * time.Second,
	}
}

// recorder runs one; stop ends it and returns what Run said.
func (r *region) recorder(cfg Config, store Store) (rec *Recorder, stop func() error) {
	r.t.Helper()
	rec, stop = r.recorderThatMayFail(cfg, store)
	r.t.Cleanup(func() {
		if err := stop(); err != nil {
			r.t.Errorf("recorder: %v", err)
		}
	})
	return rec, stop
}

func (r *region) recorderThatMayFail(cfg Config, store Store) (rec *Recorder, stop func() error) {
	r.t.Helper()
	return r.recorderBy(cfg, store, defaults)
}

// recorderBy is one with defaults of its own.
func (r *region) recorderBy(cfg Config, store Store, defaults room.Settings) (rec *Recorder, stop func() error) {
	r.t.Helper()
	b := r.connect(bus.Recorder)
	log := eventlog.New(b, "eu", "recorder-test", defaults, quiet)
	logger := quiet
	if testing.Verbose() {
		logger = slog.New(slog.NewTextHandler(r.t.Output(), nil))
	}
	rec, err := New(cfg, b, log, store, logger)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	r.t.Cleanup(func() { _ = stop() })
	return rec, stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after 30 s", what)
		}
	}
}

// speaker is a session with one track, as an edge would log it.
type speaker struct {
	r       *region
	room    string
	session string
	track   string
	handle  uint32
}

var handles uint32 = 100

func (r *region) speaker(roomName string) *speaker {
	r.t.Helper()
	handles++
	s := &speaker{r: r, room: roomName, session: fmt.Sprintf("s%d", handles), handle: handles, track: frame.TrackID(handles)}
	r.decide(roomName, func(st *room.State) (room.Draft, error) {
		return st.Join(room.Joined{Session: s.session, Identity: "id-" + s.session, Name: "Ann " + s.session, Edge: "e", Grants: room.Grants{Speak: true}})
	})
	s.start()
	return s
}

func (s *speaker) start() {
	s.r.decide(s.room, func(st *room.State) (room.Draft, error) {
		return st.StartTrack(room.TrackStarted{Track: s.track, Handle: s.handle, Session: s.session, Name: "mic", Label: "Desk", Channels: 1, FrameMS: 20})
	})
}

func (r *region) decide(roomName string, f func(*room.State) (room.Draft, error)) {
	r.t.Helper()
	if _, _, err := r.log.Decide(r.t.Context(), roomName, "", f); err != nil {
		r.t.Fatal(err)
	}
}

// say logs frames from a seq on, in packs of ten.
func (s *speaker) say(epoch uint8, seq uint32, frames [][]byte) {
	s.r.t.Helper()
	for len(frames) > 0 {
		n := min(10, len(frames))
		p, err := frame.AppendAudio(nil, frame.Header{Handle: s.handle, Epoch: epoch, Seq: seq, Timestamp: 1000 + seq*960}, frames[:n]...)
		if err != nil {
			s.r.t.Fatal(err)
		}
		s.logged(p)
		frames, seq = frames[n:], seq+uint32(n)
	}
}

func (s *speaker) silent(epoch uint8, seq uint32, span uint16) {
	s.r.t.Helper()
	p, err := frame.AppendSilence(nil, frame.Header{Handle: s.handle, Epoch: epoch, Seq: seq, Timestamp: 1000 + seq*960}, span, 8)
	if err != nil {
		s.r.t.Fatal(err)
	}
	s.logged(p)
}

func (s *speaker) logged(p []byte) {
	s.r.t.Helper()
	if _, err := s.r.edge.JetStream().Publish(s.r.t.Context(), subject.Log("eu", s.room, s.track), p); err != nil {
		s.r.t.Fatal(err)
	}
}

func (s *speaker) end(epoch uint8, last int64) {
	s.r.t.Helper()
	s.r.decide(s.room, func(st *room.State) (room.Draft, error) {
		return st.EndTrack(room.TrackEnded{Track: s.track, Epoch: epoch, Last: last})
	})
}

func (s *speaker) leave() {
	s.r.t.Helper()
	s.r.decide(s.room, func(st *room.State) (room.Draft, error) { return st.Leave(s.session, room.Timeout) })
}

func openStore(t *testing.T, dir string) *blob.Store {
	t.Helper()
	s, err := blob.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// closed waits for the closed manifests in a folder and gives them.
func closed(t *testing.T, dir string, count int) (out []recording.Manifest) {
	t.Helper()
	until(t, fmt.Sprintf("%d recordings closed", count), func() bool {
		paths, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", "manifest.json"))
		return len(paths) >= count
	})
	paths, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", "manifest.json"))
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var m recording.Manifest
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		for _, p := range copyOf(t, filepath.Dir(path)).verify().Problems { // whatever the test is about, what was recorded proves itself
			if !strings.Contains(p.What, ogg.ErrGap.Error()) {
				t.Errorf("recording %s: %s", m.Recording, p)
			}
		}
		out = append(out, m)
	}
	return out
}

func digest(frames ...[]byte) string {
	d := frame.NewDigest()
	for _, f := range frames {
		d.Add(f)
	}
	return d.Sum()
}
