package recorder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/eventlog"
	"airloom/internal/recording"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// newForgetfulRegion is a region whose audio log can be made to forget, as age makes it.
func newForgetfulRegion(t *testing.T) (r *region, forget func(below uint64)) {
	t.Helper()
	server, err := bus.Embed(bus.EmbedConfig{Dir: t.TempDir(), Region: "eu", Lazy: true}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	r = &region{t: t, server: server}
	admin := r.connect(bus.Admin)
	log, err := admin.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: subject.LogStream("eu"), Subjects: []string{subject.LogCapture("eu")}, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := admin.EnsureStreams(t.Context(), bus.Streams{Region: "eu"}); err != nil {
		t.Fatal(err)
	}
	r.edge = r.connect(bus.Edge)
	r.log = eventlog.New(r.edge, "eu", "edge-test", defaults, quiet)
	return r, func(below uint64) {
		if err := log.Purge(t.Context(), jetstream.WithPurgeSequence(below)); err != nil {
			t.Fatal(err)
		}
	}
}

// breakages are what can become of a stored object.
var breakages = map[string]func(t *testing.T, path string){
	"gone":           func(t *testing.T, path string) { change(t, os.Remove(path)) },
	"empty":          func(t *testing.T, path string) { change(t, os.WriteFile(path, nil, 0o644)) },
	"truncated":      func(t *testing.T, path string) { change(t, os.Truncate(path, 100)) },
	"header flipped": func(t *testing.T, path string) { flip(t, path, 9) },
	"frame flipped":  func(t *testing.T, path string) { flip(t, path, 1000) }, // it can be parsed all the same
}

func flip(t *testing.T, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	change(t, err)
	data[at] ^= 1
	change(t, os.WriteFile(path, data, 0o644))
}

func change(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// damagedWhileRendering records 1,200 frames, damages the second segment before the .opus is made, and lets the recorder go on.
func damagedWhileRendering(t *testing.T, r *region, damage func(path string)) (rec *Recorder, dir string, m recording.Manifest) {
	t.Helper()
	dir = t.TempDir()
	store := newFaulty(openStore(t, dir))
	store.fail(func(op, key string) bool { return op == "create" && strings.HasSuffix(key, ".opus") })
	rec, _ = r.recorder(quick(), store)
	voice := speech(t, 1200)
	s := r.speaker("hall")
	s.say(0, 0, voice)
	s.end(0, 1199)
	s.leave()
	var path string
	until(t, "rendering", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", "segments", s.track, "0-1.seg"))
		if len(found) == 1 {
			path = found[0]
		}
		return path != "" && rec.failing.Load()
	})
	damage(path)
	store.fail(nil)
	return rec, dir, closed(t, dir, 1)[0]
}

// Row 87: a stored segment that is damaged before the track's file is made of it is made again from the log.
func TestRow87DamagedSegmentIsMadeAgain(t *testing.T) {
	for name, breakage := range breakages {
		t.Run(name, func(t *testing.T) {
			r := newRegion(t)
			rec, dir, m := damagedWhileRendering(t, r, func(path string) { breakage(t, path) })
			track := m.Tracks[0]
			if track.SHA256 != digest(speech(t, 1200)...) || track.Missing() != 0 || rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
				t.Errorf("%d damaged, %d divergences, %+v", rec.metrics.damaged.Load(), rec.metrics.divergences.Load(), track)
			}
			kept, _ := filepath.Glob(filepath.Join(dir, "quarantine", "recordings", "*", "segments", track.Track, "0-1.seg"))
			if (len(kept) == 1) != (name != "gone") {
				t.Errorf("in quarantine: %v", kept)
			}
			other := t.TempDir()
			r.recorder(quick(), openStore(t, other))
			closed(t, other, 1)
			if got, want := tree(t, dir), tree(t, other); !slices.Equal(got, want) {
				t.Errorf("mended:\n%s\nundisturbed:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// Row 87: what the log has forgotten of a damaged segment is declared, so that the recording closes and says so.
func TestRow87DamagedSegmentThatTheLogForgot(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	rec, _, m := damagedWhileRendering(t, r, func(path string) {
		forget(81) // frames 500–799
		breakages["truncated"](t, path)
	})
	track := m.Tracks[0]
	voice := speech(t, 1200)
	want := []recording.Gap{{SeqRange: recording.SeqRange{From: 500, To: 799}, Reason: room.StorageCorrupt}}
	if !slices.Equal(track.Gaps, want) || track.SHA256 != digest(slices.Concat(voice[:500], voice[800:])...) || track.End != recording.EndDeclared {
		t.Errorf("%+v", track)
	}
	if rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
		t.Errorf("%d damaged, %d divergences", rec.metrics.damaged.Load(), rec.metrics.divergences.Load())
	}
}

// A track's own part of the manifest that is damaged before the recording is closed is made again; a recorder that starts does not
// end over it, and does not take it for another one.
func TestRow87DamagedTrackObject(t *testing.T) {
	damages := map[string]string{"empty": "", "no JSON": "{\"track\":", "null": "null", "a list": "[1]", "another": `{"track":"aaaaaai","state":"closed"}`, "numbers": `{"frames":1e400}`}
	for name, body := range damages {
		t.Run(name, func(t *testing.T) {
			r := newRegion(t)
			dir := t.TempDir()
			_, stop := r.recorder(quick(), openStore(t, dir))
			voice := speech(t, 1200)
			first, second := r.speaker("hall"), r.speaker("hall")
			first.say(0, 0, voice)
			second.say(0, 0, voice[:30])
			first.end(0, 1199)
			first.leave()
			var path string
			until(t, "one track stored", func() bool {
				found, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", first.track+".json"))
				if len(found) == 1 {
					path = found[0]
				}
				return path != ""
			})
			change(t, stop())
			change(t, os.WriteFile(path, []byte(body), 0o644))
			rec, _ := r.recorder(quick(), openStore(t, dir))
			until(t, "met", func() bool { return rec.metrics.damaged.Load() == 1 })
			second.end(0, 29)
			second.leave()
			m := closed(t, dir, 1)[0]
			if m.Tracks[0].SHA256 != digest(voice...) || m.Tracks[0].Missing() != 0 || rec.metrics.divergences.Load() != 0 {
				t.Errorf("%d divergences, %+v", rec.metrics.divergences.Load(), m.Tracks[0])
			}
			undisturbed(t, r, dir)
		})
	}
}

func FuzzStoredTrack(f *testing.F) {
	f.Add([]byte(`{"track":"aaaaaai","state":"closed","gaps":[{"epoch":0,"from":1,"to":0}]}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec := &knownRecording{id: "r", done: map[string]recording.Track{}}
		if err := rec.remember("aaaaaai", data); (err == nil) != (len(rec.done) == 1) {
			t.Fatalf("%v, %d remembered", err, len(rec.done))
		}
	})
}

// replaced is a store in which another recorder puts a good object into the damaged one's place just before that is deleted.
type replaced struct {
	*blob.Store
	with []byte
}

func (s replaced) Create(ctx context.Context, key string) (*blob.Writer, error) {
	w, err := s.Store.Create(ctx, key)
	if err == nil {
		err = s.Put(ctx, strings.TrimPrefix(key, quarantined), s.with)
	}
	return w, err
}

// Row 87: what is moved to quarantine is what was copied there; what another recorder has put in its place is not thrown away.
func TestRow87QuarantineDeletesWhatItCopied(t *testing.T) {
	k, _ := tricklingKeeper(t)
	store := openStore(t, t.TempDir())
	change(t, store.Put(t.Context(), "a/b", []byte("damaged")))
	k.store = replaced{store, []byte("good")}
	change(t, k.quarantine(t.Context(), "a/b"))
	if there, err := store.Get(t.Context(), "a/b"); err != nil || string(there) != "good" {
		t.Errorf("%q, %v", there, err)
	}
	if kept, err := store.Get(t.Context(), quarantined+"a/b"); err != nil || string(kept) != "damaged" {
		t.Errorf("%q, %v", kept, err)
	}
}

// Row 87: what the log has forgotten of a damaged segment, another recording of the same track still has.
func TestRow87DamagedSegmentThatAnotherRecordingHas(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	dir := t.TempDir()
	r.decide("den", func(s *room.State) (room.Draft, error) {
		return s.Set(room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted})
	})
	store := newFaulty(openStore(t, dir))
	store.fail(func(op, key string) bool { return op == "create" && strings.HasSuffix(key, ".opus") })
	rec, _ := r.recorder(quick(), store)
	voice := speech(t, 1200)
	s := r.speaker("den")
	for _, id := range []string{"r1", "r2"} {
		r.decide("den", func(st *room.State) (room.Draft, error) {
			return st.StartRecording(room.RecordingStarted{Recording: id, By: "mod"})
		})
		if id == "r1" {
			s.say(0, 0, voice[:600])
			r.decide("den", func(st *room.State) (room.Draft, error) { return st.StopRecording(st.Recording, 0) })
		}
	}
	s.say(0, 600, voice[600:])
	s.end(0, 1199)
	s.leave()
	path := filepath.Join(dir, recording.SegmentKey("r2", s.track, 0, 1))
	until(t, "rendering", func() bool {
		_, err := os.Stat(path)
		return err == nil && rec.failing.Load()
	})
	forget(r.logged())
	breakages["truncated"](t, path)
	r.decide("den", func(st *room.State) (room.Draft, error) { return st.StopRecording(st.Recording, 0) })
	store.fail(nil)
	for _, m := range closed(t, dir, 2) {
		if track := m.Tracks[0]; track.SHA256 != digest(voice...) || track.Missing() != 0 {
			t.Errorf("recording %s: %d frames, %d missing", m.Recording, track.Frames, track.Missing())
		}
	}
	if rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
		t.Errorf("%d damaged, %d divergences", rec.metrics.damaged.Load(), rec.metrics.divergences.Load())
	}
}

// Row 87: what a second recording of a track would copy may be damaged, and forgotten by the log. Both say so, and what is there both have.
func TestRow87DamagedSegmentWhereASecondRecordingStarts(t *testing.T) {
	for lost, gaps := range map[bool][]recording.Gap{
		false: nil,
		true:  {{SeqRange: recording.SeqRange{From: 0, To: 499}, Reason: room.StorageCorrupt}},
	} {
		t.Run(fmt.Sprintf("forgotten %v", lost), func(t *testing.T) {
			r, forget := newForgetfulRegion(t)
			dir := t.TempDir()
			r.rewind("den")
			rec, _ := r.recorder(quick(), openStore(t, dir))
			voice := speech(t, 1200)
			s := r.speaker("den")
			start := func(id string) {
				r.decide("den", func(st *room.State) (room.Draft, error) {
					return st.StartRecording(room.RecordingStarted{Recording: id, By: "mod"})
				})
			}
			stop := func() {
				r.decide("den", func(st *room.State) (room.Draft, error) { return st.StopRecording(st.Recording, 0) })
			}
			start("r1")
			s.say(0, 0, voice[:600])
			path := filepath.Join(dir, recording.SegmentKey("r1", s.track, 0, 0))
			until(t, "stored", func() bool { _, err := os.Stat(path); return err == nil })
			stop()
			breakages["truncated"](t, path)
			want := voice
			if lost {
				forget(51) // frames 0–499
				want = voice[500:]
			}
			start("r2")
			s.say(0, 600, voice[600:])
			s.end(0, 1199)
			s.leave()
			stop()
			for _, m := range closed(t, dir, 2) {
				if track := m.Tracks[0]; track.SHA256 != digest(want...) || !slices.Equal(track.Gaps, gaps) {
					t.Errorf("recording %s: %d frames, %+v", m.Recording, track.Frames, track.Gaps)
				}
			}
			if rec.metrics.damaged.Load() != 1 || rec.metrics.divergences.Load() != 0 {
				t.Errorf("%d damaged, %d divergences", rec.metrics.damaged.Load(), rec.metrics.divergences.Load())
			}
		})
	}
}
