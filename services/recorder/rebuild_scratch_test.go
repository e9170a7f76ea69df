package recorder

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/room"
	"airloom/internal/subject"
)

// Row 88: a rebuild whose own disk is full ends and says what to do; it does not try for ever.
func TestRow88FullDiskOfARebuild(t *testing.T) {
	r := newRegion(t)
	dir := t.TempDir()
	r.recorder(quick(), openStore(t, dir))
	id, _, _ := conversation(t, r, dir)
	small := t.TempDir()
	t.Setenv("TMPDIR", small)
	err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=32k")
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
		t.Log("no right to mount a disk: only the words are tested, by TestRow88FullScratch")
		return
	}
	change(t, err)
	t.Cleanup(func() { change(t, syscall.Unmount(small, syscall.MNT_DETACH)) })
	got := query.Rebuild{State: query.RebuildRunning}
	until(t, "it ends", func() bool {
		change(t, query.Ask(t.Context(), r.edge.Conn(), subject.RecorderRebuild, query.RebuildQuestion{Recording: id, Recorder: got.Recorder}, &got))
		return got.State != query.RebuildRunning
	})
	if got.State != query.RebuildFailed || !strings.Contains(got.Error, "TMPDIR") {
		t.Errorf("%+v", got)
	}
}

func TestRow88FullScratch(t *testing.T) {
	s, err := newScratch(t.Context(), openStore(t, "mem://"))
	change(t, err)
	defer s.close()
	k, _ := tricklingKeeper(t)
	k.hopeless = diskFull
	full := fmt.Errorf("write: %w", syscall.ENOSPC)
	k.store = unwritable{k.store, full}
	if err := s.explain(t.Context(), k.put(t.Context(), "a", nil)); !errors.Is(err, full) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v", err)
	}
}

// What a killed rebuild left on the disk is removed by the next recorder; what one that lives has there is not.
func TestScratchOfKilledRebuildsIsSwept(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	living, err := newScratch(t.Context(), openStore(t, "mem://"))
	change(t, err)
	defer living.close()
	folder := func(name string, age time.Duration, locked bool) string {
		dir := filepath.Join(os.TempDir(), scratchName+name)
		change(t, os.MkdirAll(filepath.Join(dir, "objects"), 0o700))
		if locked {
			change(t, os.WriteFile(filepath.Join(dir, scratchLock), nil, 0o600))
		}
		change(t, os.Chtimes(dir, time.Now().Add(-age), time.Now().Add(-age)))
		return dir
	}
	killed, old, young := folder("killed", 0, true), folder("old", 48*time.Hour, false), folder("young", 0, false)
	sweepScratch(quiet)
	for dir, want := range map[string]bool{living.dir: true, killed: false, old: false, young: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
	}
}

// Between a track's closing and the facts of what is missing, a rebuild would call it lost: it is refused, and can be asked for again.
func TestRebuildWhileARecordingIsBeingClosed(t *testing.T) {
	r := newRegion(t)
	cfg := quick()
	cfg.Gather = time.Hour // it answers, and folds nothing more
	rec, _ := r.recorder(cfg, openStore(t, t.TempDir()))
	until(t, "ready", rec.Ready)
	s := r.speaker("den")
	record := func(on bool, id string) {
		r.decide("den", func(st *room.State) (room.Draft, error) {
			if !on {
				return st.StopRecording(st.Recording, 0)
			}
			return st.StartRecording(room.RecordingStarted{Recording: id, By: "mod"})
		})
	}
	record(true, "r1")
	voice := speech(t, 30)
	s.say(0, 0, voice[:10])
	s.say(0, 20, voice[20:])
	s.end(0, 29)
	record(false, "")
	r.decide("den", func(st *room.State) (room.Draft, error) { return st.CloseTrack(s.track, r.logged()) })
	var got query.Rebuild
	var err error
	var refused *query.Refused
	until(t, "refused", func() bool {
		err = query.Ask(t.Context(), r.edge.Conn(), subject.RecorderRebuild, query.RebuildQuestion{Recording: "r1", Recorder: got.Recorder}, &got)
		return err != nil || got.State != query.RebuildRunning
	})
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict || !strings.Contains(refused.Error(), "being closed") {
		t.Errorf("%v, %+v", err, got)
	}
}

// A rebuild that still looks for its recording in the log is told of as running; one that has ended holds its report and nothing else.
func TestRebuildJobs(t *testing.T) {
	r := newRegion(t)
	rec, err := New(quick(), r.connect(bus.Recorder), r.log, newFaulty(openStore(t, "mem://")), quiet)
	change(t, err)
	jobs := newRebuilds(t.Context(), rec)
	q := query.RebuildQuestion{Recording: "r1", Room: "hall"}
	job := &rebuildJob{asked: q, opened: make(chan struct{}), told: newReport(q)}
	jobs.jobs["r1"] = job
	if msg, err := jobs.answer(job, q); err != nil || !strings.Contains(string(msg.Data), `"running"`) {
		t.Errorf("%v", err)
	}
	if _, err := jobs.answer(job, query.RebuildQuestion{Recording: "r1", Room: "den"}); err == nil {
		t.Error("another room is told of it")
	}
	if _, err := jobs.begin(q); !errors.Is(err, errBusy) {
		t.Errorf("begun twice: %v", err)
	}
	job.work = &rebuild{}
	jobs.end(job, job.told, nil)
	if job.work != nil || jobs.job(query.RebuildQuestion{Recording: "r1", Recorder: "me"}) != job || jobs.job(q) != nil {
		t.Errorf("%+v", job)
	}
}
