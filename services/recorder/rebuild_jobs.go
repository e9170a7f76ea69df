package recorder

import (
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

type rebuildJob struct {
	work  *rebuild
	ended time.Time // zero: it runs
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
	job, err := b.begin(ctx, q)
	if err != nil {
		return nil, err
	}
	return b.answer(job, q)
}

// answer tells how far a job is, to those who may know of its room.
func (b *rebuilds) answer(job *rebuildJob, q query.RebuildQuestion) (*nats.Msg, error) {
	report := job.work.so()
	if q.Room != "" && q.Room != report.Room {
		return nil, recording.ErrName
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
	if job == nil || q.Recorder == "" && (!job.ended.IsZero() || job.work.dry != q.DryRun) {
		return nil
	}
	return job
}

func (b *rebuilds) begin(ctx context.Context, q query.RebuildQuestion) (*rebuildJob, error) {
	work, err := b.r.openRebuild(ctx, q)
	if err != nil {
		return nil, err
	}
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
	job := &rebuildJob{work: work}
	b.jobs[q.Recording] = job
	b.running.Go(func() { b.run(job) })
	return job, nil
}

func (b *rebuilds) run(job *rebuildJob) {
	err := job.work.run(b.ctx)
	if err != nil {
		b.r.logger.Error("a recording was not rebuilt to its end", "recording", job.work.rec.id, "error", err)
	}
	job.work.tell(func(report *query.Rebuild) {
		report.State = query.RebuildDone
		if err != nil {
			report.State, report.Error = query.RebuildFailed, err.Error()
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	job.ended = time.Now()
}

// refusal is the status and the words for what a rebuild cannot begin with; 0 for other errors.
func refusal(err error) (status int, words string) {
	switch {
	case errors.Is(err, errUnknown):
		return http.StatusNotFound, errUnknown.Error()
	case errors.Is(err, errOpen):
		return http.StatusConflict, errOpen.Error()
	case errors.Is(err, errBusy):
		return http.StatusTooManyRequests, errBusy.Error()
	}
	return 0, ""
}
