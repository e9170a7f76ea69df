package recorder

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/subject"
)

const (
	rebuilding = 2                // recordings made again at the same time
	remembers  = 10 * time.Minute // how long what became of one can be asked for
	opening    = 3 * time.Second  // how long an answer waits to hear whether one can begin
)

var errBusy = errors.New("other recordings are being rebuilt: try again when they are done")

// rebuilds are the recordings that this recorder makes again, and those that it has.
type rebuilds struct {
	r    *Recorder
	name string          // of this recorder, as long as it runs
	ctx  context.Context // of the jobs: they end with the recorder

	mu      sync.Mutex
	jobs    map[string]*rebuildJob // by recording
	running sync.WaitGroup
}

// rebuildJob is one of them. Its mutable fields are guarded by rebuilds.mu.
type rebuildJob struct {
	asked  query.RebuildQuestion // by whom began it
	opened chan struct{}         // closed when it is known whether it can begin, or cannot
	work   *rebuild              // while it runs; nil before it is opened, and when it has ended: it holds the whole fold of a room
	told   query.Rebuild         // what there is to say without work
	err    error                 // it was refused
	ended  time.Time             // zero: it runs
}

func newRebuilds(ctx context.Context, r *Recorder) *rebuilds {
	return &rebuilds{r: r, name: strings.ToLower(rand.Text()[:12]), ctx: ctx, jobs: map[string]*rebuildJob{}}
}

// ask begins a rebuild, or tells of one that was begun.
func (b *rebuilds) ask(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	var q query.RebuildQuestion
	if err := question(msg, &q); err != nil {
		return nil, err
	}
	if subject.ID(q.Recording) != nil {
		return nil, recording.ErrName
	}
	if job := b.job(q); job != nil {
		return b.answer(job, q)
	}
	if q.Recorder != "" {
		return nil, recording.ErrName // it is over long since
	}
	job, err := b.begin(q)
	if err != nil {
		return nil, err
	}
	select { // mostly that takes no time, and who asked wrongly hears of it at once
	case <-job.opened:
	case <-time.After(opening):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return b.answer(job, q)
}

// answer tells how far a job is, to those who may know of its room.
func (b *rebuilds) answer(job *rebuildJob, q query.RebuildQuestion) (*nats.Msg, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	report := job.told
	if job.work != nil {
		report = job.work.so()
	}
	if q.Room != "" && q.Room != cmp.Or(report.Room, job.asked.Room) {
		return nil, recording.ErrName
	}
	if job.err != nil {
		return nil, job.err
	}
	report.Recorder = b.name
	return answered(report)
}

// job gives the job that is asked for: the one that runs, whoever began it, or, asked again, the one that has ended.
func (b *rebuilds) job(q query.RebuildQuestion) *rebuildJob {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, job := range b.jobs {
		if !job.ended.IsZero() && time.Since(job.ended) > remembers {
			delete(b.jobs, id)
		}
	}
	job := b.jobs[q.Recording]
	if job == nil || q.Recorder == "" && (!job.ended.IsZero() || job.asked.DryRun != q.DryRun) {
		return nil
	}
	return job
}

func (b *rebuilds) begin(q query.RebuildQuestion) (*rebuildJob, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	busy := 0
	for _, job := range b.jobs {
		if job.ended.IsZero() {
			busy++
		}
	}
	if old := b.jobs[q.Recording]; busy >= rebuilding || b.ctx.Err() != nil || old != nil && old.ended.IsZero() {
		return nil, errBusy
	}
	job := &rebuildJob{asked: q, opened: make(chan struct{}), told: newReport(q)}
	b.jobs[q.Recording] = job
	b.running.Go(func() { b.run(job) })
	return job, nil
}

// run finds the recording in the log, which may take long where that is, and makes it again.
func (b *rebuilds) run(job *rebuildJob) {
	work, err := b.r.openRebuild(b.ctx, job.asked)
	if err != nil {
		b.end(job, job.told, err)
		close(job.opened)
		return
	}
	b.mu.Lock()
	job.work = work
	b.mu.Unlock()
	close(job.opened)
	err = work.run(b.ctx)
	b.end(job, work.so(), err)
}

// end keeps of a job what is to be told.
func (b *rebuilds) end(job *rebuildJob, report query.Rebuild, err error) {
	report.State = query.RebuildDone
	if err != nil {
		report.State, report.Error = query.RebuildFailed, err.Error()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	job.told, job.work, job.ended = report, nil, time.Now()
	if status, _ := refusal(err); status != 0 {
		job.err = err
	} else if err != nil {
		b.r.logger.Error("a recording was not rebuilt to its end", "recording", job.asked.Recording, "error", err)
	}
}

// refusal is the status and the words for what a rebuild cannot begin with; 0 for other errors.
func refusal(err error) (status int, words string) {
	switch {
	case errors.Is(err, errUnknown):
		return http.StatusNotFound, errUnknown.Error()
	case errors.Is(err, errOpen):
		return http.StatusConflict, errOpen.Error()
	case errors.Is(err, errClosing):
		return http.StatusConflict, errClosing.Error()
	case errors.Is(err, errBusy):
		return http.StatusTooManyRequests, errBusy.Error()
	}
	return 0, ""
}
