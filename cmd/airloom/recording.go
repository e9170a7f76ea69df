package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"airloom/internal/query"
	"airloom/internal/recording"
	"airloom/internal/subject"
)

// RecordingCmd is everything about recordings.
type RecordingCmd struct {
	remote

	List   recordingListCmd   `cmd:"" help:"List recordings."`
	Get    recordingGetCmd    `cmd:"" help:"Fetch a recording: its manifest and one .opus per track."`
	Verify recordingVerifyCmd `cmd:"" help:"Hold a recording against its manifest: nothing lost, doubled or altered."`
	Export recordingExportCmd `cmd:"" help:"Make other files of a recording."`
}

type recordingListCmd struct {
	Room string `placeholder:"ROOM" env:"-" help:"Recordings of this room alone."`
	JSON bool   `name:"json" help:"Print the answer as one object."`
}

// Validate is called by the parser.
func (c *recordingListCmd) Validate() error {
	if c.Room == "" {
		return nil
	}
	return subject.Room(c.Room)
}

// Run lists recordings, the newest first.
func (c *recordingListCmd) Run(p *program, at *RecordingCmd) error {
	got := query.Recordings{Recordings: []query.Recording{}}
	for more, after := true, ""; more; {
		var page query.Recordings
		q := url.Values{}
		for key, value := range map[string]string{"room": c.Room, "after": after} {
			if value != "" {
				q.Set(key, value)
			}
		}
		if err := at.ask(p, http.MethodGet, "v1/recordings", q, nil, &page); err != nil {
			return fmt.Errorf("list recordings: %w", err)
		}
		got.Recordings = append(got.Recordings, page.Recordings...)
		if more = page.More && len(page.Recordings) > 0; more {
			after = page.Recordings[len(page.Recordings)-1].Recording
		}
	}
	if c.JSON {
		return p.json(got)
	}
	table := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RECORDING\tROOM\tSTATE\tSTARTED\tLENGTH\tTRACKS\tFRAMES\tMISSING\tSIZE")
	for _, r := range got.Recordings {
		var frames, missing, bytes int64
		for _, t := range r.Tracks {
			frames, missing, bytes = frames+t.Frames, missing+t.Missing, bytes+t.Bytes
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Recording, r.Room, r.State, clockTime(r.Started), length(r.Seconds),
			len(r.Tracks), frames, missing, size(bytes))
	}
	return table.Flush()
}

func length(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Millisecond).String()
}

func size(bytes int64) string {
	switch {
	case bytes >= 1e9:
		return strconv.FormatFloat(float64(bytes)/1e9, 'f', 1, 64) + " GB"
	case bytes >= 1e6:
		return strconv.FormatFloat(float64(bytes)/1e6, 'f', 1, 64) + " MB"
	default:
		return strconv.FormatFloat(float64(bytes)/1e3, 'f', 1, 64) + " kB"
	}
}

// recordingID is a recording's id as an argument.
type recordingID string

// Validate is called by the parser.
func (id recordingID) Validate() error {
	if err := subject.ID(string(id)); err != nil {
		return fmt.Errorf("%.80q is not a recording's id: `airloom recording list` tells them", string(id))
	}
	return nil
}

type recordingVerifyCmd struct {
	What string `arg:"" name:"DIR|ID" help:"Folder with a manifest.json, or the id of a recording."`
	JSON bool   `name:"json" help:"Print what was found as one object."`
}

// Help is printed below the flags.
func (recordingVerifyCmd) Help() string {
	return "It exits with 0 only if everything is as the manifest says.\n\nExample:  airloom recording verify 20261120-120300123-local-000042"
}

// errNotVerified ends a check that found something; what it was has been printed.
var errNotVerified = errors.New("the recording is not what its manifest says")

// Run checks a recording and names what is wrong.
func (c *recordingVerifyCmd) Run(p *program, at *RecordingCmd) error {
	from, err := at.source(p, c.What)
	if err != nil {
		return err
	}
	m, err := from.manifest()
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.What, err)
	}
	line := p.progress(c.JSON)
	report, err := recording.Verify(p.ctx, m, from.watched(line, m))
	line.done()
	if err != nil {
		return fmt.Errorf("verify %s: %w", c.What, err)
	}
	if c.JSON {
		if err := p.json(report); err != nil {
			return err
		}
	} else {
		for _, problem := range report.Problems {
			fmt.Fprintf(p.out, "WRONG  %s\n", problem)
		}
		fmt.Fprintf(p.out, "%s: %d tracks, %d frames, %d known to be missing, %s, %s\n", m.Recording, report.Tracks, report.Frames, report.Missing,
			length(report.Seconds), size(report.Bytes))
	}
	if len(report.Problems) > 0 {
		return fmt.Errorf("verify %s: %w (%d problems)", c.What, errNotVerified, len(report.Problems))
	}
	if !c.JSON {
		fmt.Fprintln(p.out, "verified: every published frame is there, unaltered, and nothing else")
	}
	return nil
}

// source finds a recording: a folder, or one that the edge has.
func (r remote) source(p *program, what string) (*recordingSource, error) {
	if info, err := os.Stat(what); err == nil && info.IsDir() {
		return &recordingSource{p: p, dir: what}, nil
	}
	if err := recordingID(what).Validate(); err != nil {
		return nil, usage(err)
	}
	a, err := r.api(p)
	if err != nil {
		return nil, err
	}
	return &recordingSource{p: p, api: a, id: what}, nil
}
