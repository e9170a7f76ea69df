package recorder

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

func signing(cfg Config, key ed25519.PrivateKey) Config {
	cfg.Key = key
	return cfg
}

func signatures(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "recordings", "*", "*.sig"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// said is a whole short recording.
func (r *region) said(room string, frames [][]byte) {
	r.t.Helper()
	s := r.speaker(room)
	s.say(0, 0, frames)
	s.end(0, int64(len(frames)-1))
	s.leave()
}

// Recorders with one key write one signature; one with another key writes another beside it, and all differ in nothing else.
func TestRecordersSignBesideEachOther(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	one, two := testKey(1), testKey(2)
	var recs []*Recorder
	for _, key := range []ed25519.PrivateKey{one, one, two, nil} {
		rec, _ := r.recorder(signing(quick(), key), openStore(t, dir))
		recs = append(recs, rec)
	}
	for _, rec := range recs {
		until(t, "ready", rec.Ready)
	}
	r.said("hall", speech(t, 1100))
	id := closed(t, dir, 1)[0].Recording
	until(t, "signed by both keys", func() bool { return len(signatures(t, dir)) == 2 })
	c := copyOf(t, filepath.Join(dir, "recordings", id))
	for _, key := range []ed25519.PrivateKey{one, two} {
		if rep := c.verify(key); rep.Count() != 0 || rep.Proof != recording.ProofTrusted || len(rep.Signed) != 2 {
			t.Errorf("%+v", rep)
		}
	}
	if rep := c.verify(testKey(3)); rep.Count() != 1 || !strings.Contains(rep.Problems[0].What, "foreign key") {
		t.Errorf("%+v", rep)
	}
	for _, rec := range recs {
		if n := rec.metrics.divergences.Load(); n != 0 {
			t.Errorf("%d divergences", n)
		}
	}
}

// A recorder that dies between manifest and signature signs when it is back.
func TestKilledBetweenManifestAndSignature(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := newFaulty(openStore(t, dir))
	store.fail(func(_, key string) bool { return strings.HasSuffix(key, ".sig") })
	_, stop := r.recorderThatMayFail(signing(killable(), testKey(1)), store)
	r.said("hall", speech(t, 20))
	id := closed(t, dir, 1)[0].Recording
	kill(stop, store)
	if got := signatures(t, dir); len(got) != 0 {
		t.Fatalf("%v", got)
	}
	r.recorder(signing(quick(), testKey(1)), openStore(t, dir))
	until(t, "signed", func() bool { return len(signatures(t, dir)) == 1 })
	if rep := copyOf(t, filepath.Join(dir, "recordings", id)).verify(testKey(1)); rep.Count() != 0 {
		t.Errorf("%+v", rep)
	}
}

// A recorder that died between manifest and signature while another one went on from there finds out when it is back, and signs what the
// log still says of it; what was altered meanwhile it does not.
func TestARecorderSignsLate(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	_, stop := r.recorder(quick(), openStore(t, dir)) // the other one, which has no key
	r.said("hall", speech(t, 600))
	r.said("attic", speech(t, 600))
	ms := closed(t, dir, 2)
	first, second := ms[0], ms[1] // the second is looked at first
	until(t, "the checkpoint is behind both", func() bool { return len(storedPoint(t, openStore(t, dir)).Recordings) == 0 })
	change(t, stop())
	altered := filepath.Join(dir, "recordings", second.Recording, filepath.FromSlash(recording.SegmentFile(second.Tracks[0].Track, 0, 1)))
	flip(t, altered, 200)
	r.recorder(signing(quick(), testKey(1)), openStore(t, dir))
	until(t, "the other one is signed", func() bool { return len(signatures(t, dir)) > 0 })
	r.said("cellar", speech(t, 20))
	until(t, "a new one is signed", func() bool { return len(signatures(t, dir)) > 1 })
	if all := signatures(t, dir); len(all) != 2 || strings.Contains(strings.Join(all, " "), second.Recording) {
		t.Errorf("%v, altered was %s", all, second.Recording)
	}
	if rep := copyOf(t, filepath.Join(dir, "recordings", first.Recording)).verify(testKey(1)); rep.Count() != 0 {
		t.Errorf("%+v", rep)
	}
}

// So it does with recordings that somebody has started: their ids do not name the region.
func TestARecorderSignsLateWhatAModeratorStarted(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	_, stop := r.recorder(quick(), openStore(t, dir))
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.Set(room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	})
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.StartRecording(room.RecordingStarted{Recording: "20261120-120300-k3m2aq", By: "mod", Since: 0})
	})
	r.said("den", speech(t, 20))
	r.decide("den", func(s *room.State) (room.Draft, error) { return s.StopRecording(s.Recording, 0) })
	closed(t, dir, 1)
	until(t, "the checkpoint is behind it", func() bool { return len(storedPoint(t, openStore(t, dir)).Recordings) == 0 })
	change(t, stop())
	r.recorder(signing(quick(), testKey(1)), openStore(t, dir))
	until(t, "signed", func() bool { return len(signatures(t, dir)) == 1 })
}

// What somebody put into the store is not signed, whatever it is called.
func TestRow89AForgedManifestIsNotSigned(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	store := newFaulty(openStore(t, dir))
	store.fail(func(_, key string) bool { return strings.HasSuffix(key, recording.ManifestFile) })
	rec, _ := r.recorder(signing(quick(), testKey(1)), store)
	r.said("hall", speech(t, 20))
	until(t, "about to close", func() bool { return rec.failing.Load() })
	dirs, err := filepath.Glob(filepath.Join(dir, "recordings", "*"))
	if err != nil || len(dirs) != 1 {
		t.Fatal(dirs, err)
	}
	if err := os.WriteFile(filepath.Join(dirs[0], recording.ManifestFile), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store.fail(nil)
	until(t, "alarmed, and done with it", func() bool {
		_, err := os.Stat(filepath.Join(dirs[0], "open.json"))
		return rec.metrics.divergences.Load() == 1 && os.IsNotExist(err)
	})
	if got := signatures(t, dir); len(got) != 0 {
		t.Errorf("signed: %v", got)
	}
}

// A rebuild signs what it made out of the log alone; what it had to take from the store it does not.
func TestRebuildSignsWhatTheLogTells(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	dir := t.TempDir()
	r.recorder(signing(quick(), testKey(1)), openStore(t, dir))
	id, _, _ := conversation(t, r, dir)
	until(t, "signed", func() bool { return len(signatures(t, dir)) == 1 })
	path := signatures(t, dir)[0]
	want, err := os.ReadFile(path)
	change(t, err)
	for _, harm := range []func(){func() { change(t, os.Remove(path)) }, func() { flip(t, path, 60) }} {
		harm()
		if got := rebuilt(t, r, query.RebuildQuestion{Recording: id, DryRun: true}); got.Missing+got.Damaged != 1 {
			t.Errorf("%+v", got)
		}
		if got := rebuilt(t, r, query.RebuildQuestion{Recording: id}); !got.Whole() || got.PutBack != 1 {
			t.Errorf("%+v", got)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("not signed again as it was: %v", err)
		}
	}
	forget(60)
	change(t, os.Remove(path))
	got := rebuilt(t, r, query.RebuildQuestion{Recording: id})
	if again := signatures(t, dir); len(again) != 0 || !strings.Contains(strings.Join(got.Notes, "; "), "not signed now") {
		t.Errorf("%v, %+v", again, got)
	}
}

// One manifest that is damaged fails neither the list nor what else there is of the recording; signatures and segments are files like others.
func TestDamagedManifestIsNamed(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	rec, stop := r.recorder(signing(quick(), testKey(1)), openStore(t, dir))
	until(t, "ready", rec.Ready)
	r.said("hall", speech(t, 20))
	r.said("attic", speech(t, 20))
	ids := closed(t, dir, 2)
	until(t, "signed", func() bool { return len(signatures(t, dir)) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	bad := ids[0]
	if err := os.WriteFile(filepath.Join(dir, "recordings", bad.Recording, recording.ManifestFile), []byte(`{"version":1,`), 0o600); err != nil {
		t.Fatal(err)
	}
	r.recorder(quick(), openStore(t, dir))
	var list query.Recordings
	until(t, "answered", func() bool { return r.ask(subject.RecorderList, query.RecordingsQuestion{}, &list) == nil })
	if len(list.Recordings) != 1 || list.Recordings[0].Recording != ids[1].Recording || len(list.Damaged) != 1 || list.Damaged[0] != bad.Recording {
		t.Errorf("%+v", list)
	}
	if err := r.ask(subject.RecorderList, query.RecordingsQuestion{Room: bad.Room}, &list); err != nil || len(list.Recordings) != 0 {
		t.Errorf("of one room: %+v %v", list, err)
	}
	var refused *query.Refused
	if err := r.ask(subject.RecorderGet, query.RecordingQuestion{Recording: bad.Recording}, &list); !asRefused(err, &refused) || refused.Status != 422 {
		t.Errorf("%v", err)
	}
	var files query.RecordingFiles
	if err := r.ask(subject.RecorderFiles, query.RecordingQuestion{Recording: bad.Recording}, &files); err != nil || len(files.Files) != 3 {
		t.Errorf("%+v %v", files, err)
	}
	files.Files = append(files.Files, recording.SegmentFile(bad.Tracks[0].Track, 0, 0))
	for _, name := range files.Files {
		part, err := query.AskFile(t.Context(), r.edge.Conn(), query.FileQuestion{Recording: bad.Recording, File: name, Length: query.MaxRead})
		want, _ := os.ReadFile(filepath.Join(dir, "recordings", bad.Recording, filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(part.Data, want) || len(want) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(part.Data), err)
		}
	}
}

func asRefused(err error, refused **query.Refused) bool {
	r, ok := err.(*query.Refused)
	*refused = r
	return ok
}

// Without a key a recorder works, and says once that nobody can prove what it writes.
func TestARecorderWithoutAKeySaysSo(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	b := r.connect(bus.Recorder)
	var said strings.Builder
	rec, err := New(quick(), b, eventlog.New(b, "eu", "recorder-test", defaults, quiet), openStore(t, dir), slog.New(slog.NewTextHandler(&said, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rec.Run(ctx) }()
	until(t, "ready", rec.Ready)
	r.said("hall", speech(t, 20))
	m := closed(t, dir, 1)[0]
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(said.String(), "not signed"); n != 1 || len(signatures(t, dir)) != 0 {
		t.Errorf("said %d times, %v", n, signatures(t, dir))
	}
	if rep := copyOf(t, filepath.Join(dir, "recordings", m.Recording)).verify(); rep.Count() != 0 || rep.Proof != recording.ProofUnsigned {
		t.Errorf("%+v", rep)
	}
}
