package rest

import (
	"errors"
	"net/http"

	"airloom/internal/auth"
	"airloom/internal/problem"
	"airloom/internal/query"
	"airloom/internal/subject"
)

// rebuild has a recorder make a recording again, and tells how far it is. Its room is the recorder's to see to: it is in the log, where
// the manifest may be gone.
func (d *door) rebuild(w http.ResponseWriter, r *http.Request) error {
	claims, err := d.caller(r, replay)
	if err != nil {
		return err
	}
	id := r.PathValue("recording")
	if subject.ID(id) != nil {
		return noRecording()
	}
	var ask struct {
		DryRun   bool   `json:"dry_run"`
		Recorder string `json:"recorder"`
	}
	if err := decode(w, r, &ask, true); err != nil {
		return err
	}
	question := query.RebuildQuestion{Recording: id, DryRun: ask.DryRun, Recorder: ask.Recorder}
	if claims.Room != auth.AnyRoom {
		question.Room = claims.Room
	}
	on := subject.RecorderRebuild
	if ask.Recorder != "" {
		if subject.ID(ask.Recorder) != nil {
			return problem.New(http.StatusBadRequest, "bad_body", "The recorder is not one that an earlier answer named.")
		}
		on = subject.RecorderRebuildAt(ask.Recorder)
	}
	var report query.Rebuild
	if err := d.ask(r.Context(), on, question, &report); err != nil {
		return noRebuild(err, ask.Recorder != "")
	}
	status := http.StatusOK
	if report.State == query.RebuildRunning {
		status = http.StatusAccepted
	}
	return reply(w, status, report)
}

func noRebuild(err error, begun bool) error {
	var refused *query.Refused
	switch {
	case begun && errors.Is(err, query.ErrNobody):
		return problem.New(http.StatusGone, "rebuild_gone", "The recorder that was at it has ended: begin again.").Because(err)
	case !errors.As(err, &refused):
		return unanswered(err, "recorder")
	case refused.Status == http.StatusNotFound:
		return noRecording()
	case refused.Status == http.StatusConflict:
		return problem.New(http.StatusConflict, "recording_open", sentence(refused)).Because(err)
	case refused.Status == http.StatusTooManyRequests:
		return problem.New(http.StatusTooManyRequests, "busy", sentence(refused)).With("Retry-After", "5").Because(err)
	default:
		return unanswered(err, "recorder")
	}
}
