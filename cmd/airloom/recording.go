package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"airloom/internal/query"
	"airloom/internal/subject"
)

// RecordingCmd is everything about recordings.
type RecordingCmd struct {
	remote

	List    recordingListCmd    `cmd:"" help:"List recordings."`
	Get     recordingGetCmd     `cmd:"" help:"Fetch a recording: its manifest, who signed it, and one .opus per track."`
	Verify  recordingVerifyCmd  `cmd:"" help:"Prove a recording: signed by a recorder, nothing lost, doubled or altered."`
	Export  recordingExportCmd  `cmd:"" help:"Make other files of a recording."`
	Rebuild recordingRebuildCmd `cmd:"" help:"Make a recording again from the log, and put back what is missing or damaged."`
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
		got.Recordings, got.Damaged = append(got.Recordings, page.Recordings...), append(got.Damaged, page.Damaged...)
		if more = page.More && len(page.Recordings) > 0; more {
			after = page.Recordings[len(page.Recordings)-1].Recording
		}
	}
	if c.JSON {
		return p.json(got)
	}
	for _, id := range got.Damaged {
		fmt.Fprintf(p.errs, "airloom: recording %s: its manifest is damaged and tells nothing; `airloom recording rebuild %s` makes it anew\n", id, id)
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
