package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"airloom/internal/participant"
	"airloom/internal/query"
)

type recordingRebuildCmd struct {
	ID     recordingID `arg:"" help:"Id of the recording."`
	DryRun bool        `name:"dry-run" help:"Only tell what is missing or damaged; change nothing."`
	JSON   bool        `name:"json" help:"Print what was found as one object."`
}

// Help is printed below the flags.
func (recordingRebuildCmd) Help() string {
	return "A recorder makes every object of the recording again out of the log, compares it with what is stored, and puts back what is\n" +
		"missing or damaged; what was damaged is kept in quarantine/. What the log has forgotten cannot be made again: there the closed\n" +
		"segments are the truth. It exits with 0 only if all is as it should be afterwards.\n\n" +
		"Example:  airloom recording rebuild 20261120-120300123-local-000042 --dry-run"
}

var (
	errNotRebuilt = errors.New("not everything is as the log says")
	errRebuild    = errors.New("the rebuild did not come to its end")
)

// rebuildPoll is how often a rebuild is asked how far it is.
const rebuildPoll = 500 * time.Millisecond

// Run has a recording rebuilt and waits for it.
func (c *recordingRebuildCmd) Run(p *program, at *RecordingCmd) error {
	a, err := at.api(p)
	if err != nil {
		return err
	}
	line := p.progress(c.JSON)
	report, err := c.wait(p.ctx, a, line)
	line.done()
	if err != nil {
		return fmt.Errorf("rebuild %s: %w", c.ID, err)
	}
	if c.JSON {
		if err := p.json(report); err != nil {
			return err
		}
	} else {
		c.print(p, &report)
	}
	switch {
	case report.State == query.RebuildFailed:
		return hint(fmt.Errorf("rebuild %s: %w: %s", c.ID, errRebuild, report.Error), "What was put back stays. Begin again when the log and the blob store answer.")
	case !report.Whole() && c.DryRun && report.Lost == 0:
		return hint(fmt.Errorf("rebuild %s: %w", c.ID, errNotRebuilt), "Without --dry-run it is put back.")
	case !report.Whole():
		return hint(fmt.Errorf("rebuild %s: %w", c.ID, errNotRebuilt), "What is lost is neither in the log nor whole in the blob store: restore it from a copy of the store, if there is one.")
	}
	return nil
}

// wait begins and asks until it is over.
func (c *recordingRebuildCmd) wait(ctx context.Context, a *api, line *progress) (report query.Rebuild, err error) {
	tick := time.NewTicker(rebuildPoll)
	defer tick.Stop()
	path := "v1/recordings/" + string(c.ID) + "/rebuild"
	for failed := 0; ; {
		body := map[string]any{"dry_run": c.DryRun}
		if report.Recorder != "" {
			body["recorder"] = report.Recorder
		}
		var next query.Rebuild
		err := a.call(http.MethodPost, path, nil, body, &next)
		var problem *participant.Problem
		switch {
		case err == nil:
			report, failed = next, 0
		case errors.As(err, &problem) && problem.Code == "rebuild_gone":
			return report, hint(errRebuild, "Its recorder has ended. What was put back stays: begin again.")
		case report.Recorder == "" || failed == 20: // the work goes on where it is, whoever asks
			return report, err
		default:
			failed++
		}
		if report.Recorder != "" && report.State != query.RebuildRunning {
			return report, nil
		}
		line.show("track %d of %d, %d objects", min(report.TracksDone+1, report.Tracks), report.Tracks, report.Same+report.Missing+report.Damaged+report.Lost)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return report, errors.New("interrupted; the recorder goes on")
		}
	}
}

func (c *recordingRebuildCmd) print(p *program, r *query.Rebuild) {
	for _, o := range r.Objects {
		what := o.State
		if o.PutBack {
			what += ", put back"
		}
		if o.Why != "" {
			what += " (" + o.Why + ")"
		}
		fmt.Fprintf(p.out, "%s  %s\n", o.Object, what)
	}
	if more := r.Missing + r.Damaged + r.Lost - len(r.Objects); more > 0 {
		fmt.Fprintf(p.out, "and %d more\n", more)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(p.out, "note  %s\n", note)
	}
	fmt.Fprintf(p.out, "%s: %d tracks; %d objects the same, %d missing, %d damaged, %d put back, %d lost\n", r.Recording, r.Tracks, r.Same, r.Missing, r.Damaged,
		r.PutBack, r.Lost)
}
