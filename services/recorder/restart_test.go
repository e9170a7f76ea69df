package recorder

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"airloom/internal/blob"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// killable is a recorder that ends at once, without draining.
func killable() Config {
	cfg := quick()
	cfg.Drain = time.Nanosecond
	return cfg
}

// kill ends a recorder as kill -9 does: nothing reaches the store any more.
func kill(stop func() error, store *faulty) {
	store.fail(func(string, string) bool { return true })
	_ = stop() // it says that it could not finish, or was idle
}

func TestNothingIsLostOrDoubledOverKills(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	voice := speech(t, 3000)
	var s *speaker
	random := rand.New(rand.NewPCG(1, 2))
	for life, at := 0, 0; at < len(voice); life++ {
		store := newFaulty(openStore(t, dir))
		rec, stop := r.recorderThatMayFail(killable(), store)
		if s == nil {
			s = r.speaker("hall")
		}
		next := min(len(voice), at+200+random.IntN(600))
		s.say(0, uint32(at), voice[at:next])
		if life%2 == 0 { // the outbox sends again what was not acked in time
			from := max(0, next-37)
			s.say(0, uint32(from), voice[from:next])
		}
		at = next
		switch life % 3 {
		case 0:
			until(t, "segments", func() bool { return rec.metrics.segments.Load() > 0 || at < 500 })
		case 1:
			until(t, "frames", func() bool { return rec.metrics.frames.Load() > 20 })
		case 2: // killed with a checkpoint of all that was logged, most of it in an open segment
			until(t, "stored", func() bool { return storedPoint(t, store.Store).Log.Position == r.logged() })
		}
		kill(stop, store)
	}
	s.end(0, int64(len(voice)-1))
	s.leave()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	m := closed(t, dir, 1)[0]
	track := m.Tracks[0]
	if track.Frames != 3000 || track.SHA256 != digest(voice...) || len(track.Gaps) != 0 || rec.metrics.divergences.Load() != 0 {
		t.Fatalf("%+v", track)
	}
	near(t, "the file", heard(t, filepath.Join(dir, "recordings", m.Recording, track.File)), 60)
}

// A recorder that takes over between a track's closing fact and its file knows of the fact, though it folds no more of it.
func TestKilledBetweenClosingAndFile(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := newFaulty(openStore(t, dir))
	store.fail(func(op, _ string) bool { return op == "create" }) // no .opus
	_, stop := r.recorderThatMayFail(killable(), store)
	s := r.speaker("hall")
	voice := speech(t, 20)
	s.say(0, 0, voice)
	s.end(0, 24) // five are missing
	var last uint64
	until(t, "closed, its gap declared", func() bool {
		state, err := r.log.Load(t.Context(), "hall")
		if err != nil {
			t.Fatal(err)
		}
		last = state.Position
		return state.Tracks[s.track].Closed && len(state.Tracks[s.track].Gaps) == 1
	})
	until(t, "stored that this is folded", func() bool { return storedPoint(t, store.Store).Events.Position >= last })
	kill(stop, store)
	if point := storedPoint(t, store.Store); len(point.Tracks) != 1 {
		t.Fatalf("%+v", point)
	}
	r.recorder(quick(), openStore(t, dir))
	s.leave()
	if track := closed(t, dir, 1)[0].Tracks[0]; track.SHA256 != digest(voice...) || track.Missing() != 5 {
		t.Errorf("%+v", track)
	}
}

// Row 92: an edge whose clock is an hour behind ends a session; what it still had to log, and acked, is in the recording.
func TestRow92ClocksOfEdgesShortenNoGrace(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := openStore(t, dir)
	cfg := quick()
	cfg.Grace = 2 * time.Second
	r.recorder(cfg, store)
	s := r.speaker("hall")
	voice := speech(t, 40)
	s.say(0, 0, voice[:20])
	left := room.Event{Room: "hall", At: time.Now().Add(-time.Hour), By: "late-edge", Fact: room.Left{Session: s.session, Reason: room.Timeout}}
	body, err := json.Marshal(left)
	if err != nil {
		t.Fatal(err)
	}
	ack, err := r.edge.JetStream().Publish(t.Context(), subject.Event("eu", "hall", "session", s.session), body)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the end is folded", func() bool { return storedPoint(t, store).Events.Position >= ack.Sequence })
	s.say(0, 20, voice[20:])
	if track := closed(t, dir, 1)[0].Tracks[0]; track.SHA256 != digest(voice...) || track.Missing() != 0 {
		t.Errorf("%+v", track)
	}
}

func storedPoint(t *testing.T, store *blob.Store) (c checkpoint) {
	t.Helper()
	data, err := store.Get(t.Context(), checkpointKey("eu"))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil && !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
	return c
}

// logged is the newest position of the audio log.
func (r *region) logged() uint64 {
	r.t.Helper()
	stream, err := r.edge.JetStream().Stream(r.t.Context(), subject.LogStream("eu"))
	if err != nil {
		r.t.Fatal(err)
	}
	return stream.CachedInfo().State.LastSeq
}

// What a frozen edge logs after a track was closed changes nothing, for no recorder.
func TestFramesAfterTheEnd(t *testing.T) {
	r := newRegion(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	r.recorder(quick(), openStore(t, dirs[0]))
	voice := speech(t, 900)
	s := r.speaker("hall")
	s.say(0, 0, voice[:700])
	s.leave()
	closed(t, dirs[0], 1)
	s.say(0, 700, voice[700:])
	s.say(1, 0, voice[:100])
	r.recorder(quick(), openStore(t, dirs[1]))
	closed(t, dirs[1], 1)
	if got, want := tree(t, dirs[1]), tree(t, dirs[0]); !slices.Equal(got, want) {
		t.Errorf("made anew:\n%s\nwas:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestARecorderThatComesLateRecordsAll(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	voice := speech(t, 700)
	first, second := r.speaker("hall"), r.speaker("hall")
	first.say(0, 0, voice)
	second.say(0, 0, voice[:300])
	first.end(0, 699)
	second.leave()
	first.leave()
	third := r.speaker("hall")
	third.say(0, 0, voice[:20])
	third.leave()
	r.recorder(quick(), openStore(t, dir))
	m := closed(t, dir, 1)[0]
	if len(m.Tracks) != 3 || m.Tracks[0].SHA256 != digest(voice...) || m.Tracks[1].SHA256 != digest(voice[:300]...) || m.Tracks[2].Frames != 20 {
		t.Fatalf("%+v", m)
	}
	if m.Tracks[0].Participant != "Ann "+first.session || m.Tracks[1].End != recording.EndUnknown {
		t.Errorf("%+v", m.Tracks)
	}
}

func TestTwoRecordersWriteTheSameBytes(t *testing.T) {
	r := newRegion(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	shared, _ := r.recorder(quick(), openStore(t, dirs[0]))
	sharedToo, _ := r.recorder(quick(), openStore(t, dirs[0]))
	alone, _ := r.recorder(quick(), openStore(t, dirs[1]))
	voice := speech(t, 1600)
	speakers := []*speaker{r.speaker("hall"), r.speaker("hall"), r.speaker("attic")}
	for i, s := range speakers {
		s.say(0, 0, voice[:700])
		s.silent(0, 700, 90)
		s.say(0, uint32(900+i), voice[700:]) // from 790 on something is missing
	}
	speakers[0].end(0, 1799)
	speakers[0].leave()
	speakers[1].leave()
	speakers[2].leave()
	closed(t, dirs[0], 2)
	closed(t, dirs[1], 2)
	late, _ := r.recorder(quick(), openStore(t, dirs[2])) // made anew from the log alone
	closed(t, dirs[2], 2)
	for _, rec := range []*Recorder{shared, sharedToo, alone, late} {
		if n := rec.metrics.divergences.Load(); n != 0 {
			t.Errorf("%d divergences", n)
		}
	}
	want := tree(t, dirs[0])
	for _, dir := range dirs[1:] {
		if got := tree(t, dir); !slices.Equal(got, want) {
			t.Errorf("%d and %d objects differ:\n%s\n%s", len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(want) < 15 {
		t.Errorf("only %d objects", len(want))
	}
}

// tree gives every object of the recordings with its content's digest.
func tree(t *testing.T, dir string) (out []string) {
	t.Helper()
	until(t, "rid of open manifests", func() bool {
		open, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", "open.json"))
		return len(open) == 0
	})
	root := filepath.Join(dir, "recordings")
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && filepath.Base(path) == "open.json" { // it was just going
			return nil
		}
		name, _ := filepath.Rel(root, path)
		out = append(out, name+" "+digest(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestOrderAndCopiesDoNotMatter(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 1500)
	s := r.speaker("hall")
	type pack struct{ from, to int }
	var packs []pack
	for i := 0; i < len(voice); i += 10 {
		packs = append(packs, pack{i, i + 10})
		if i%3 == 0 {
			packs = append(packs, pack{max(0, i-4), i + 6}) // other bounds
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for i := range packs { // up to 9 s late
		j := min(len(packs)-1, i+random.IntN(60))
		packs[i], packs[j] = packs[j], packs[i]
	}
	for _, p := range packs {
		s.say(0, uint32(p.from), voice[p.from:p.to])
	}
	s.end(0, 1499)
	s.leave()
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.Frames != 1500 || track.SHA256 != digest(voice...) || len(track.Gaps) != 0 {
		t.Fatalf("%+v", track)
	}
	if rec.metrics.duplicates.Load() == 0 || rec.metrics.equivocations.Load() != 0 {
		t.Error("duplicates", rec.metrics.duplicates.Load(), "equivocations", rec.metrics.equivocations.Load())
	}
}

func TestRecordingStartedAfterTheFact(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.Set(room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	})
	rec, _ := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 1300)
	gone, s := r.speaker("den"), r.speaker("den")
	gone.say(0, 0, voice[:50])
	gone.end(0, 49)
	gone.leave()
	s.say(0, 0, voice[:800])
	until(t, "read", func() bool { return rec.metrics.lag.Load() == 0 && rec.Ready() })
	if n := rec.metrics.frames.Load(); n != 0 {
		t.Fatalf("%d frames recorded though nobody asked", n)
	}
	record := func(id string) func(*room.State) (room.Draft, error) {
		return func(s *room.State) (room.Draft, error) {
			if id == "" {
				return s.StopRecording(s.Recording, 0)
			}
			return s.StartRecording(room.RecordingStarted{Recording: id, By: "mod"})
		}
	}
	r.decide("den", record("r1"))
	s.say(0, 800, voice[800:1000])
	r.decide("den", record(""))
	s.say(0, 1000, voice[1000:1200])
	r.decide("den", record("r2"))
	s.say(0, 1200, voice[1200:])
	s.end(0, 1299)
	r.decide("den", record(""))
	for i, m := range closed(t, dir, 2) {
		if m.Recording != fmt.Sprintf("r%d", i+1) || m.By != "mod" || m.Keep != room.KeepRewind || len(m.Tracks) != 1 || m.Tracks[0].SHA256 != digest(voice...) {
			t.Errorf("%+v", m)
		}
	}
}

func TestNothingIsRecordedUnasked(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	for _, keep := range []room.Keep{room.KeepNone, room.KeepRewind} {
		name := "room-" + string(keep)
		r.decide(name, func(s *room.State) (room.Draft, error) {
			return s.Set(room.Settings{Keep: keep, Speak: room.SpeakGranted})
		})
		s := r.speaker(name)
		s.say(0, 0, speech(t, 600))
		s.end(0, 599)
		s.leave()
	}
	asked := r.speaker("hall")
	asked.say(0, 0, speech(t, 10))
	asked.leave()
	if m := closed(t, dir, 1); len(m) != 1 || m[0].Room != "hall" || rec.metrics.frames.Load() != 10 {
		t.Errorf("%+v", m)
	}
}

// A gap that says up to where in the log it was decided holds against frames that come later; one that does not is but a reason.
func TestDeclaredGaps(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, _ := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 1000)
	s := r.speaker("hall")
	s.say(0, 0, voice[:100])
	s.say(0, 200, voice[200:300])
	declare := func(g room.GapDeclared) {
		g.Track = s.track
		r.decide("hall", func(st *room.State) (room.Draft, error) { return st.DeclareGap(g) })
	}
	declare(room.GapDeclared{From: 100, To: 199, Reason: room.PublisherDropped, Through: 20})
	declare(room.GapDeclared{From: 300, To: 309, Reason: room.Rejected})
	until(t, "folded", func() bool { return rec.metrics.frames.Load() == 200 })
	s.say(0, 100, voice[100:150]) // too late
	s.say(0, 305, voice[305:500]) // 305-309 are there all the same
	s.say(0, 500, voice[500:])
	s.end(0, 999)
	s.leave()
	track := closed(t, dir, 1)[0].Tracks[0]
	want := []recording.Gap{
		{SeqRange: recording.SeqRange{From: 100, To: 199}, Reason: room.PublisherDropped},
		{SeqRange: recording.SeqRange{From: 300, To: 304}, Reason: room.Rejected},
	}
	if !slices.Equal(track.Gaps, want) || track.Frames != 895 {
		t.Errorf("%d frames, gaps %+v", track.Frames, track.Gaps)
	}
}

// A recorder that is told to end stores how far it is: the next one reads nothing twice.
func TestDrainStoresHowFarItIs(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	cfg := quick()
	cfg.Checkpoint, cfg.Live = time.Hour, time.Hour
	store := openStore(t, dir)
	rec, stop := r.recorder(cfg, store)
	s := r.speaker("hall")
	voice := speech(t, 700)
	s.say(0, 0, voice)
	until(t, "read", func() bool { return rec.metrics.frames.Load() == 700 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	point := storedPoint(t, store)
	if point.Log.Position != r.logged() || len(point.Tracks) != 1 || point.Tracks[0].After != 50 {
		t.Errorf("%+v", point)
	}
	if _, err := store.Get(t.Context(), recording.OpenKey(point.Recordings[0].Recording)); err != nil {
		t.Error(err)
	}
}

// A track with a hole in every segment is not held in memory, whole; and what comes late for a segment that was put aside still counts.
func TestHolesInEverySegment(t *testing.T) {
	r := newRegion(t)
	dirs := []string{t.TempDir(), t.TempDir()}
	cfg := quick()
	cfg.Checkpoint = time.Second
	rec, _ := r.recorder(cfg, openStore(t, dirs[0]))
	const segments = maxOpen + 80
	voice := speech(t, 40)
	s := r.speaker("hall")
	for n := range uint32(segments) {
		s.say(0, n*recording.SegmentSeqs, voice[:10])
		s.say(0, n*recording.SegmentSeqs+480, voice[20:])
	}
	until(t, "all read", func() bool { return rec.metrics.frames.Load() == segments*30 })
	s.say(0, 10, voice[10:20]) // late, for the very first one
	s.end(0, segments*recording.SegmentSeqs-1)
	s.leave()
	track := closed(t, dirs[0], 1)[0].Tracks[0]
	if track.Frames != segments*30+10 || len(track.Gaps) != segments || track.Gaps[0].From != 20 || len(track.Segments) != segments {
		t.Fatalf("%d frames, %d gaps, %d segments", track.Frames, len(track.Gaps), len(track.Segments))
	}
	r.recorder(quick(), openStore(t, dirs[1]))
	closed(t, dirs[1], 1)
	if got, want := tree(t, dirs[1]), tree(t, dirs[0]); !slices.Equal(got, want) {
		t.Errorf("made anew, %d and %d objects differ", len(got), len(want))
	}
}
