package recorder

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// rebuilt asks for a rebuild and waits for its end.
func rebuilt(t *testing.T, r *region, q query.RebuildQuestion) query.Rebuild {
	t.Helper()
	var got query.Rebuild
	if err := query.Ask(t.Context(), r.edge.Conn(), subject.RecorderRebuild, q, &got); err != nil {
		t.Fatal(err)
	}
	q.Recorder = got.Recorder
	until(t, "rebuilt", func() bool {
		if err := query.Ask(t.Context(), r.edge.Conn(), subject.RecorderRebuildAt(got.Recorder), q, &got); err != nil {
			t.Fatal(err)
		}
		return got.State != query.RebuildRunning
	})
	if got.State != query.RebuildDone {
		t.Fatalf("%+v", got)
	}
	return got
}

// conversation records two tracks with all that there can be in them, and gives the recording's id and theirs.
func conversation(t *testing.T, r *region, dir string) (id, first, second string) {
	t.Helper()
	voice := speech(t, 1600)
	a, b := r.speaker("hall"), r.speaker("hall")
	a.say(0, 0, voice[:700])
	a.silent(0, 700, 90)
	a.say(0, 900, voice[700:])
	r.decide("hall", func(s *room.State) (room.Draft, error) {
		return s.DeclareGap(room.GapDeclared{Track: a.track, From: 790, To: 799, Reason: room.Rejected})
	})
	b.say(0, 0, voice[:300])
	b.say(1, 0, voice[300:1000])
	b.say(0, 290, voice[290:310])
	a.end(0, 1809)
	a.leave()
	b.leave()
	m := closed(t, dir, 1)[0]
	tree(t, dir)
	return m.Recording, a.track, b.track
}

func TestRebuildPutsBackWhatIsMissingOrDamaged(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	id, _, _ := conversation(t, r, dir)
	want := tree(t, dir)
	if got := rebuilt(t, r, query.RebuildQuestion{Recording: id}); got.Same != len(want) || !got.Whole() || len(got.Objects) != 0 || got.Room != "hall" || got.TracksDone != 2 {
		t.Fatalf("untouched: %+v", got)
	}
	for i, line := range want {
		path := filepath.Join(dir, "recordings", strings.Fields(line)[0])
		switch i % 3 {
		case 0:
			change(t, os.Remove(path))
		case 1:
			change(t, os.Truncate(path, 40))
		default:
			flip(t, path, 60)
		}
	}
	broken := tree(t, dir)
	dry := rebuilt(t, r, query.RebuildQuestion{Recording: id, DryRun: true})
	if dry.Missing+dry.Damaged != len(want) || dry.PutBack != 0 || dry.Whole() {
		t.Errorf("dry run: %+v", dry)
	}
	if got := tree(t, dir); !slices.Equal(got, broken) {
		t.Errorf("a dry run has changed something")
	}
	got := rebuilt(t, r, query.RebuildQuestion{Recording: id})
	if got.Missing+got.Damaged != len(want) || got.PutBack != len(want) || got.Lost != 0 || !got.Whole() || got.Missing != (len(want)+2)/3 {
		t.Errorf("%+v", got)
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("rebuilt:\n%s\nwas:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	kept := 0
	change(t, filepath.WalkDir(filepath.Join(dir, "quarantine"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			kept++
		}
		return err
	}))
	if kept != got.Damaged {
		t.Errorf("%d objects in quarantine, %d were damaged", kept, got.Damaged)
	}
}

// What the log has forgotten cannot be made again; closed segments are the truth there, and what follows from them can.
func TestRebuildBehindTheLogsBeginning(t *testing.T) {
	r, forget := newForgetfulRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	id, first, second := conversation(t, r, dir)
	want := tree(t, dir)
	folder := filepath.Join(dir, "recordings", id)
	segment := func(track, name string) string { return filepath.Join(folder, "segments", track, name+".seg") }
	files, _ := filepath.Glob(filepath.Join(folder, "*.*"))

	forget(60) // frames 0–589 of the first track, not all of the second segment
	for _, path := range files {
		change(t, os.Remove(path))
	}
	change(t, os.Remove(segment(second, "1-1"))) // the second track's end, which the log has
	got := rebuilt(t, r, query.RebuildQuestion{Recording: id})
	if !got.Whole() || got.PutBack != len(files)+1 || !strings.Contains(strings.Join(got.Notes, "; "), "the log begins at position 60") {
		t.Errorf("%+v", got)
	}
	if got := tree(t, dir); !slices.Equal(got, want) {
		t.Errorf("rebuilt:\n%s\nwas:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	flip(t, segment(first, "0-0"), 200)
	got = rebuilt(t, r, query.RebuildQuestion{Recording: id})
	if got.Whole() || got.Lost != 1 || got.Objects[0].State != query.ObjectLost || !strings.HasSuffix(segment(first, "0-0"), got.Objects[0].Object) {
		t.Errorf("%+v", got)
	}
	forget(r.logged() + 1)
	change(t, os.Remove(segment(second, "0-0")))
	if got = rebuilt(t, r, query.RebuildQuestion{Recording: id}); got.Lost != 2 {
		t.Errorf("with an empty log: %+v", got)
	}
}

func TestRebuildRefuses(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	id, _, _ := conversation(t, r, dir)
	s := r.speaker("open")
	s.say(0, 0, speech(t, 10))
	var open string
	until(t, "recording", func() bool {
		state, err := r.log.Load(t.Context(), "open")
		change(t, err)
		open = state.Recording
		return open != ""
	})
	for _, c := range []struct {
		name   string
		q      query.RebuildQuestion
		status int
	}{
		{"unknown", query.RebuildQuestion{Recording: "nothing"}, http.StatusNotFound},
		{"no id", query.RebuildQuestion{Recording: "../x"}, http.StatusNotFound},
		{"of another room", query.RebuildQuestion{Recording: id, Room: "attic"}, http.StatusNotFound},
		{"never begun here", query.RebuildQuestion{Recording: id, Recorder: "me"}, http.StatusNotFound},
		{"still open", query.RebuildQuestion{Recording: open}, http.StatusConflict},
	} {
		var got query.Rebuild
		var refused *query.Refused
		err := query.Ask(t.Context(), r.edge.Conn(), subject.RecorderRebuild, c.q, &got)
		if !errors.As(err, &refused) || refused.Status != c.status {
			t.Errorf("%s: %v, %+v", c.name, err, got)
		}
	}
}

// Where the log has forgotten the first copy of some frames and still has another one, the stored segment that the manifest vouches for is right, and stays.
func TestRebuildKeepsWhatTheManifestVouchesFor(t *testing.T) {
	for _, signs := range []bool{false, true} {
		r, forget := newForgetfulRegion(t)
		dir := t.TempDir()
		cfg := quick()
		if signs {
			_, cfg.Key, _ = ed25519.GenerateKey(nil)
		}
		r.recorder(cfg, openStore(t, dir))
		voice := speech(t, 600)
		s := r.speaker("hall")
		s.say(0, 0, voice[:500])
		s.say(0, 0, voice[500:510]) // other bytes
		s.say(0, 500, voice[500:])
		s.end(0, 599)
		s.leave()
		m := closed(t, dir, 1)[0]
		if signs {
			until(t, "signed", func() bool {
				found, _ := filepath.Glob(filepath.Join(dir, "recordings", "*", "*.sig"))
				return len(found) == 1
			})
		}
		want := tree(t, dir)
		forget(2)
		got := rebuilt(t, r, query.RebuildQuestion{Recording: m.Recording})
		if !got.Whole() || got.Damaged+got.Lost+got.PutBack != 0 {
			t.Errorf("signs %v: %+v", signs, got)
		}
		if now := tree(t, dir); !slices.Equal(now, want) {
			t.Errorf("signs %v: rebuilt:\n%s\nwas:\n%s", signs, strings.Join(now, "\n"), strings.Join(want, "\n"))
		}
	}
}
