package recorder

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airloom/internal/blob"
	"airloom/internal/blob/s3test"
	"airloom/internal/recording"
)

// undisturbed records all again into a folder, with nothing in the way, and holds a store's folder against it.
func undisturbed(t *testing.T, r *region, dir string) {
	t.Helper()
	other := t.TempDir()
	r.recorder(quick(), openStore(t, other))
	closed(t, other, 1)
	if got, want := tree(t, dir), tree(t, other); !slices.Equal(got, want) {
		t.Errorf("stored:\n%s\nundisturbed:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// claims fails where the checkpoint says more than is stored.
func claims(t *testing.T, store *blob.Store) {
	t.Helper()
	for _, track := range storedPoint(t, store).Tracks {
		for _, e := range track.Epochs {
			for _, r := range e.Closed {
				for n := r.From; n <= r.To; n++ {
					for _, id := range track.Recordings {
						if _, err := store.Get(t.Context(), recording.SegmentKey(id, track.Track, e.Epoch, n)); err != nil {
							t.Errorf("the checkpoint speaks of a segment that is not stored: %v", err)
						}
					}
				}
			}
		}
	}
}

// impatient is a recorder in a hurry that gives a silent store up soon.
func impatient() Config {
	cfg := quick()
	cfg.Stall = 700 * time.Millisecond
	return cfg
}

// disturbed records while a store is in trouble for a while, and holds what came of it against a recording without trouble.
func disturbed(t *testing.T, r *region, dir, through string, direct *blob.Store, trouble, heal func()) {
	t.Helper()
	store, err := blob.Open(t.Context(), through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	disturbedStore(t, r, dir, store, direct, trouble, heal)
}

func disturbedStore(t *testing.T, r *region, dir string, store Store, direct *blob.Store, trouble, heal func()) {
	t.Helper()
	rec, stop := r.recorder(impatient(), store)
	voice := speech(t, 6000)
	s := r.speaker("hall")
	s.say(0, 0, voice[:1200])
	until(t, "recording", func() bool { return rec.Ready() && storedPoint(t, direct).Log.Position == r.logged() })
	trouble()
	s.say(0, 1200, voice[1200:2600])
	until(t, "not ready, its age growing", func() bool { return !rec.Ready() && rec.metrics.unrecordedAge() > 300*time.Millisecond })
	s.say(0, 2600, voice[2600:]) // more than fits into memory's places is left in the log
	if waiting := rec.metrics.lag.Load(); waiting > tapped {
		t.Errorf("%d messages wait in memory", waiting)
	}
	claims(t, direct)
	heal()
	s.end(0, 5999)
	s.leave()
	track := closed(t, dir, 1)[0].Tracks[0]
	if track.Frames != 6000 || track.SHA256 != digest(voice...) || track.Missing() != 0 {
		t.Fatalf("%+v", track)
	}
	until(t, "well again", func() bool { return rec.Ready() && rec.metrics.unrecordedAge() == 0 })
	if rec.metrics.divergences.Load() != 0 {
		t.Errorf("%d divergences", rec.metrics.divergences.Load())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	undisturbed(t, r, dir)
}

// Row 88: what an S3 store can do to a recorder costs time, and nothing else.
func TestRow88S3(t *testing.T) {
	for name, fault := range map[string]s3test.Fault{
		"503": s3test.Busy, "silent": s3test.Stalled, "cut": s3test.Cut, "read-only": s3test.Denied,
	} {
		t.Run(name, func(t *testing.T) {
			server := s3test.Start(t)
			proxy := s3test.Before(server)
			disturbed(t, newRegion(t), server.Dir(), proxy.URL(), openStore(t, server.URL()),
				func() { proxy.Fail(func(*http.Request) s3test.Fault { return fault }) },
				func() { proxy.Fail(nil) })
		})
	}
}

// Row 88: the server itself is killed, and comes back.
func TestRow88S3ServerKilled(t *testing.T) {
	server := s3test.Start(t)
	disturbed(t, newRegion(t), server.Dir(), server.URL(), openStore(t, server.Dir()), server.Kill, server.Run)
}

// Row 88: slow answers, wrong ETags and every other request failing do not even need a pause.
func TestRow88S3Flaky(t *testing.T) {
	server := s3test.Start(t)
	proxy := s3test.Before(server)
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(8, 8))
	faults := []s3test.Fault{s3test.None, s3test.Slow, s3test.BadETag, s3test.Busy, s3test.Cut, s3test.None}
	proxy.Fail(func(*http.Request) s3test.Fault {
		mu.Lock()
		defer mu.Unlock()
		return faults[random.IntN(len(faults))]
	})
	r := newRegion(t)
	store, err := blob.Open(t.Context(), proxy.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	_, stop := r.recorder(impatient(), store)
	voice := speech(t, 2600)
	s := r.speaker("hall")
	s.say(0, 0, voice)
	s.end(0, 2599)
	s.leave()
	if track := closed(t, server.Dir(), 1)[0].Tracks[0]; track.SHA256 != digest(voice...) || track.Missing() != 0 {
		t.Errorf("%+v", track)
	}
	if proxy.Hurt() == 0 {
		t.Error("nothing went wrong: this test looks at the wrong place")
	}
	proxy.Fail(nil)
	undisturbed(t, r, server.Dir())
	if err := stop(); err != nil {
		t.Error(err)
	}
}
