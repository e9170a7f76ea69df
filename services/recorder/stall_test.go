package recorder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"airloom/internal/blob"
	"airloom/internal/recording"
	"airloom/internal/room"
)

// trickling is a store from which large objects take long to read, though they come all the time, and which never answers some writes.
type trickling struct {
	*faulty
	hangs func(key string) bool
}

func (s trickling) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	in, err := s.Store.Open(ctx, key)
	return trickle{in, ctx}, err
}

func (s trickling) Put(ctx context.Context, key string, data []byte) error {
	if s.hangs != nil && s.hangs(key) {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.faulty.Put(ctx, key, data)
}

type trickle struct {
	io.ReadCloser
	ctx context.Context
}

func (r trickle) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Second)
	if r.ctx.Err() != nil {
		return 0, r.ctx.Err()
	}
	return r.ReadCloser.Read(p[:min(len(p), 100)])
}

func tricklingKeeper(t *testing.T) (*keeper, trickling) {
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	store := trickling{faulty: newFaulty(openStore(t, "mem://"))}
	return newKeeper(store, time.Second, m, quiet), store
}

// Row 88: what takes longer than a stall may last and gets on all the time is not given up and begun again for ever.
func TestRow88LargeObjectOfASlowStore(t *testing.T) {
	for name, read := range map[string]func(context.Context, *keeper, string, []byte) error{
		"compared with ours": func(ctx context.Context, k *keeper, track string, data []byte) error {
			sum := sha256.Sum256(data)
			r := &render{keeper: k, id: "r", track: recording.Track{Track: track, FileSHA256: hex.EncodeToString(sum[:])}}
			return r.compare(ctx)
		},
		"quarantined": func(ctx context.Context, k *keeper, track string, _ []byte) error {
			return k.quarantine(ctx, recording.OpusKey("r", track))
		},
		"compared with what is rebuilt": func(ctx context.Context, k *keeper, track string, data []byte) error {
			key := recording.OpusKey("r", track)
			return k.insist(ctx, "compare", func(ctx context.Context) error {
				_, err := same(ctx, k.store.(trickling).Store, key, k.store, key)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, store := tricklingKeeper(t)
				data := bytes.Repeat([]byte("sound"), 200)
				if err := store.Store.PutNew(t.Context(), recording.OpusKey("r", "aaaaaai"), data); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				if err := read(ctx, k, "aaaaaai", data); err != nil || k.metrics.retries.Load() != 0 || k.metrics.divergences.Load() != 0 {
					t.Errorf("%v, %d retries, %d divergences", err, k.metrics.retries.Load(), k.metrics.divergences.Load())
				}
			})
		})
	}
}

// Row 88: a store that hangs over the news of open recordings makes the fold wait once and not once for each, and that shows.
func TestRow88NewsThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, store := tricklingKeeper(t)
		store.hangs = func(string) bool { return true }
		k.store = store
		f := &fold{r: &Recorder{store: store, logger: quiet, metrics: k.metrics, failing: k.failing}, keeper: k, rooms: map[string]*knownRoom{}}
		for _, name := range []string{"hall", "den", "attic"} {
			f.rooms[name] = newKnownRoom(room.NewState(name, defaults))
			f.rooms[name].recordings = []*knownRecording{{id: name, done: map[string]recording.Track{}}}
		}
		begun := time.Now()
		done := make(chan struct{})
		go func() { f.publishOpen(t.Context()); close(done) }()
		time.Sleep(30 * time.Second)
		if age := k.metrics.unrecordedAge(); age < 29*time.Second {
			t.Errorf("while it hangs the unrecorded age is %v", age)
		}
		<-done
		if took := time.Since(begun); took > k.stall+time.Second || k.metrics.unrecordedAge() != 0 {
			t.Errorf("it took %v, then the age is %v", took, k.metrics.unrecordedAge())
		}
	})
}

// goneBetween says once that an object is there which is gone when it is read: another recorder has moved it to quarantine.
type goneBetween struct {
	*faulty
	once *bool
}

func (s goneBetween) PutNew(ctx context.Context, key string, data []byte) error {
	if !*s.once {
		*s.once = true
		return blob.ErrExists
	}
	return s.faulty.PutNew(ctx, key, data)
}

func TestStoringWhatAnotherRecorderMovesAway(t *testing.T) {
	m, err := newMetrics()
	if err != nil {
		t.Fatal(err)
	}
	k := newKeeper(goneBetween{newFaulty(openStore(t, "mem://")), new(bool)}, time.Second, m, quiet)
	if ours, err := k.putOurs(t.Context(), "a", []byte("x")); err != nil || !ours {
		t.Errorf("%v, %v", ours, err)
	}
	if there, err := k.get(t.Context(), "a"); err != nil || string(there) != "x" {
		t.Errorf("%q, %v", there, err)
	}
}

// Row 88: an upload that is taken at once and sent over a slow line is not cut off at each attempt; one that hangs is.
func TestRow88LargeUploadOverASlowLine(t *testing.T) {
	for name, c := range map[string]struct {
		bytes   int
		sending time.Duration
		stalls  bool
	}{
		"small, soon":   {1 << 10, 30 * time.Second, false},
		"small, hangs":  {1 << 10, time.Hour, true},
		"large, slowly": {20 << 20, 5 * time.Minute, false},
		"large, hangs":  {20 << 20, time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k, _ := tricklingKeeper(t)
				err := k.attempt(t.Context(), func(ctx context.Context) error {
					if _, err := (writing{io.Discard, ctx}).Write(make([]byte, c.bytes)); err != nil {
						return err
					}
					gotOn(ctx)
					select { // the parts are sent
					case <-time.After(c.sending):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				if errors.Is(err, errStalled) != c.stalls || err != nil && !c.stalls {
					t.Error(err)
				}
			})
		})
	}
}
