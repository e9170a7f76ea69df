package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"go.opentelemetry.io/otel/trace"

	"airloom/internal/blob"
	"airloom/internal/bus"
	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/strict"
	"airloom/internal/subject"
	"airloom/internal/telemetry"
)

const (
	queue     = "recorder" // the group of which one recorder answers
	answering = 16         // requests answered at the same time; more wait in the subscription, the newest are lost when that is full
	within    = 10 * time.Second
	maxWhole  = 768 << 10
)

// answers tells of what lies in the store. It asks nobody but the store, so it also knows what other recorders made.
type answers struct {
	r       *Recorder
	reading chan struct{} // places for manifests being read for lists, of all requests together
	known   *summaries
}

func newAnswers(r *Recorder) *answers {
	return &answers{r: r, reading: make(chan struct{}, 16), known: newSummaries(maxKnown)}
}

// answer answers requests until ctx ends.
func (r *Recorder) answer(ctx context.Context) error {
	a := newAnswers(r)
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	places := make(chan struct{}, answering)
	var subs []*nats.Subscription
	rebuilds := newRebuilds(ctx, r)
	defer rebuilds.running.Wait()
	for on, handle := range map[string]func(context.Context, *nats.Msg) (*nats.Msg, error){
		subject.RecorderList: a.list, subject.RecorderGet: a.get, subject.RecorderRead: a.read, subject.RecorderFiles: a.files,
		subject.RecorderRebuild: rebuilds.ask, subject.RecorderRebuildAt(rebuilds.name): rebuilds.ask,
	} {
		sub, err := r.bus.Conn().QueueSubscribe(on, queue, func(msg *nats.Msg) {
			places <- struct{}{}
			running.Go(func() {
				defer func() { <-places }()
				a.handle(work, on, msg, handle)
			})
		})
		if err != nil {
			return err
		}
		subs = append(subs, sub)
	}
	<-ctx.Done()
	time.AfterFunc(within, stop)
	bus.Unsubscribe(subs)
	running.Wait()
	return ctx.Err()
}

func (a *answers) handle(ctx context.Context, on string, msg *nats.Msg, handle func(context.Context, *nats.Msg) (*nats.Msg, error)) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ctx, span := tracer.Start(telemetry.Extract(ctx, msg.Header), on, trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()
	reply, err := handle(ctx, msg)
	switch {
	case err == nil:
		err = msg.RespondMsg(reply)
	case errors.Is(err, blob.ErrNotExist), errors.Is(err, recording.ErrName):
		err = query.Refuse(msg, http.StatusNotFound, "there is no such recording, or it has no such file")
	case errors.Is(err, errQuestion):
		err = query.Refuse(msg, http.StatusBadRequest, err.Error())
	case errors.Is(err, errDamaged):
		err = query.Refuse(msg, http.StatusUnprocessableEntity, err.Error())
	case errors.Is(err, errLong):
		err = query.Refuse(msg, http.StatusRequestEntityTooLarge, err.Error())
	default:
		if status, words := refusal(err); status != 0 {
			err = query.Refuse(msg, status, words)
			break
		}
		a.r.logger.WarnContext(ctx, "a request cannot be answered", "on", on, "error", err)
		err = query.Refuse(msg, http.StatusServiceUnavailable, "the log or the blob store does not answer; try again")
	}
	if err != nil {
		a.r.logger.WarnContext(ctx, "an answer was not sent", "on", on, "error", err)
	}
}

var (
	errQuestion = errors.New("this is not a question for the recorder")
	errDamaged  = errors.New("the manifest is damaged: it is not JSON; airloom recording rebuild makes it anew")
	errLong     = errors.New("the manifest is too long for one answer: read it as the file manifest.json")
)

func question(msg *nats.Msg, into any) error {
	if len(msg.Data) == 0 {
		return nil
	}
	if err := strict.Decode(msg.Data, 8, into); err != nil {
		return errors.Join(errQuestion, err)
	}
	return nil
}

func answered(v any) (*nats.Msg, error) {
	data, err := json.Marshal(v)
	return &nats.Msg{Data: data}, err
}

// manifest reads the closed manifest, or else the open one.
func (a *answers) manifest(ctx context.Context, id string) ([]byte, error) {
	if err := subject.ID(id); err != nil {
		return nil, recording.ErrName
	}
	data, err := a.r.store.Get(ctx, recording.ManifestKey(id))
	if errors.Is(err, blob.ErrNotExist) {
		data, err = a.r.store.Get(ctx, recording.OpenKey(id))
	}
	if errors.Is(err, blob.ErrNotExist) { // it was closed between the two
		data, err = a.r.store.Get(ctx, recording.ManifestKey(id))
	}
	return data, err
}

func (a *answers) get(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	var q query.RecordingQuestion
	if err := question(msg, &q); err != nil {
		return nil, err
	}
	data, err := a.manifest(ctx, q.Recording)
	if err == nil && len(data) > maxWhole {
		err = errLong
	}
	if err == nil && !json.Valid(data) {
		err = errDamaged
	}
	return &nats.Msg{Data: data}, err
}

// files gives the names of a recording's files, without its segments.
func (a *answers) files(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	var q query.RecordingQuestion
	if err := question(msg, &q); err != nil {
		return nil, err
	}
	if subject.ID(q.Recording) != nil {
		return nil, recording.ErrName
	}
	out := query.RecordingFiles{Recording: q.Recording, Files: []string{}}
	dir := recording.Dir(q.Recording)
	for o, err := range a.r.store.List(ctx, dir) {
		if err != nil {
			return nil, err
		}
		if name := strings.TrimPrefix(o.Key, dir); recording.IsFile(name) {
			out.Files = append(out.Files, name)
		}
	}
	return answered(out)
}

// read gives a piece of a file. The name is taken apart and made anew: see recording.FileKey.
func (a *answers) read(ctx context.Context, msg *nats.Msg) (*nats.Msg, error) {
	var q query.FileQuestion
	if err := question(msg, &q); err != nil {
		return nil, err
	}
	if q.Offset < 0 || q.Length < 0 || q.Length > query.MaxRead {
		return nil, errQuestion
	}
	key, err := recording.FileKey(q.Recording, q.File)
	if err != nil {
		return nil, err
	}
	if q.File == recording.ManifestFile {
		return a.readManifest(ctx, q)
	}
	data, size, err := a.r.store.ReadAt(ctx, key, q.Offset, int64(q.Length))
	if err != nil {
		return nil, err
	}
	reply := &nats.Msg{Data: data, Header: nats.Header{query.HeaderSize: {strconv.FormatInt(size, 10)}}}
	if sum := a.sum(ctx, q.Recording, q.File); sum != "" {
		reply.Header[query.HeaderSHA256] = []string{sum}
	}
	return reply, nil
}

func (a *answers) readManifest(ctx context.Context, q query.FileQuestion) (*nats.Msg, error) {
	data, err := a.manifest(ctx, q.Recording)
	if err != nil {
		return nil, err
	}
	from := min(q.Offset, int64(len(data)))
	part := data[from:min(from+int64(q.Length), int64(len(data)))]
	return &nats.Msg{Data: part, Header: nats.Header{query.HeaderSize: {strconv.Itoa(len(data))}}}, nil
}

// sum is the SHA-256 of a track's sound, as the track's part of the manifest has it; "" of other files.
func (a *answers) sum(ctx context.Context, id, file string) string {
	track, isSound := strings.CutSuffix(file, ".opus")
	if !isSound {
		return ""
	}
	data, err := a.r.store.Get(ctx, recording.TrackKey(id, track))
	var t recording.Track
	if err != nil || json.Unmarshal(data, &t) != nil {
		return ""
	}
	return t.FileSHA256
}
