package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"airloom/internal/frame"
	"airloom/internal/recording"
)

type recordingExportCmd struct {
	What   string `arg:"" name:"ID|DIR" help:"Id of the recording, or a folder with a manifest.json."`
	Format string `enum:"opus,wav,flac,mix" default:"opus" help:"opus, wav, flac: a file per track; mix: all tracks in one file, of the kind its name ends with."`
	Output string `short:"o" env:"-" required:"" type:"path" placeholder:"FILE|DIR" help:"Folder for the files, or a file: for mix, or where there is one track."`
	JSON   bool   `name:"json" help:"Print what was made as one object."`
}

// Help is printed below the flags.
func (recordingExportCmd) Help() string {
	return "All formats but opus need ffmpeg.\n\nExamples:\n" +
		"  airloom recording export ID --format flac -o tracks/\n  airloom recording export ID --format mix -o meeting.mp3"
}

// Validate is called by the parser.
func (c *recordingExportCmd) Validate() error {
	if c.Format == "mix" && filepath.Ext(c.Output) == "" {
		return fmt.Errorf("-o %s: --format mix makes one file: give its name, as meeting.wav or meeting.mp3", c.Output)
	}
	return nil
}

type exported struct {
	Recording string   `json:"recording"`
	Files     []string `json:"files"`
}

// Run makes the files.
func (c *recordingExportCmd) Run(p *program, at *RecordingCmd) error {
	if c.Format != "opus" {
		if _, err := exec.LookPath("ffmpeg"); err != nil {
			return hint(fmt.Errorf("export as %s: this needs ffmpeg, and there is none", c.Format),
				"Install ffmpeg (Debian: apt install ffmpeg), or take --format opus, which needs none.")
		}
	}
	from, err := at.source(p, c.What)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "airloom-export-")
	if err != nil {
		return fmt.Errorf("export %s: %w", c.What, err)
	}
	defer os.RemoveAll(work)
	line := p.progress(c.JSON)
	defer line.done()
	made, err := c.export(p, from, work, line)
	line.done()
	if err != nil {
		return fmt.Errorf("export %s: %w", c.What, err)
	}
	if c.JSON {
		return p.json(made)
	}
	for _, file := range made.Files {
		fmt.Fprintln(p.out, file)
	}
	return nil
}

func (c *recordingExportCmd) export(p *program, from *recordingSource, work string, line *progress) (exported, error) {
	m, err := from.manifest()
	if err != nil {
		return exported{}, err
	}
	if _, err := from.fetch(work, line, fetching{}); err != nil {
		return exported{}, err
	}
	made := exported{Recording: m.Recording, Files: []string{}}
	var tracks []recording.Track
	for _, t := range m.Tracks {
		if t.File != "" {
			tracks = append(tracks, t)
		}
	}
	if len(tracks) == 0 {
		return made, errors.New("no track of it is finished and has sound")
	}
	if c.Format == "mix" {
		made.Files = append(made.Files, c.Output)
		return made, mix(p, tracks, work, c.Output, line)
	}
	for _, t := range tracks {
		to, err := c.target(&t, len(tracks))
		if err != nil {
			return made, err
		}
		line.show("%s", to)
		if err := c.convert(p, filepath.Join(work, t.File), to); err != nil {
			return made, err
		}
		made.Files = append(made.Files, to)
	}
	return made, nil
}

// target is where a track goes.
func (c *recordingExportCmd) target(t *recording.Track, count int) (string, error) {
	info, err := os.Stat(c.Output)
	isDir := err == nil && info.IsDir()
	if ext := filepath.Ext(c.Output); ext != "" && !isDir {
		if count > 1 {
			return "", usage(fmt.Errorf("-o %s is one file, but there are %d tracks: give a folder, or --format mix", c.Output, count))
		}
		return c.Output, nil
	}
	if err := os.MkdirAll(c.Output, 0o755); err != nil {
		return "", fmt.Errorf("make the folder: %w", err)
	}
	return filepath.Join(c.Output, exportName(t)+"."+c.Format), nil
}

// exportName is made of what strangers called themselves: only harmless characters stay.
func exportName(t *recording.Track) string {
	var parts []string
	for _, s := range []string{t.Participant, t.Name, t.Track} {
		s = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return '-'
		}, s)
		if s = strings.Trim(s[:min(len(s), 40)], "-"); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-")
}

func (c *recordingExportCmd) convert(p *program, opus, to string) error {
	if c.Format == "opus" {
		sum, err := fileSum(opus)
		if err != nil {
			return err
		}
		return fetchFile(to, sum, opener(opus))
	}
	return ffmpeg(p, to, c.Format, "-i", "file:"+opus, "-map", "0:a:0")
}

// mix lays all tracks over each other, each where it began.
func mix(p *program, tracks []recording.Track, work, to string, line *progress) error {
	line.show("mixing %d tracks", len(tracks))
	var args, chains []string
	first := began(&tracks[0])
	for i := range tracks {
		first = min(first, began(&tracks[i]))
	}
	inputs := ""
	for i := range tracks {
		args = append(args, "-i", "file:"+filepath.Join(work, tracks[i].File))
		chains = append(chains, fmt.Sprintf("[%d:a:0]adelay=%d:all=1[t%d]", i, (began(&tracks[i])-first)/1000, i))
		inputs += fmt.Sprintf("[t%d]", i)
	}
	chains = append(chains, fmt.Sprintf("%samix=inputs=%d:duration=longest:normalize=0,alimiter=limit=0.95:level=0[out]", inputs, len(tracks)))
	args = append(args, "-filter_complex", strings.Join(chains, ";"), "-map", "[out]")
	format := strings.TrimPrefix(strings.ToLower(filepath.Ext(to)), ".")
	if format == "opus" {
		format = "ogg"
		args = append(args, "-c:a", "libopus", "-b:a", "96k")
	}
	return ffmpeg(p, to, format, args...)
}

// began is when a track's first sample was captured, in µs since 1970: by the speaker's clock where it told one, else
// by the edge's.
func began(t *recording.Track) int64 {
	if len(t.Epochs) == 0 {
		return t.Started.UnixMicro()
	}
	if t.Clock == nil { // a recording that began in the middle of the track has no seqs before
		return t.Started.UnixMicro() + int64(float64(t.Epochs[0].First)*t.Epochs[0].FrameMS*1000)
	}
	samples := frame.Elapsed(t.Clock.Timestamp, t.Epochs[0].Timestamp)
	return t.Clock.UnixMicro + int64(samples)*1000000/frame.SampleRate
}

// ffmpeg makes one new file.
func ffmpeg(p *program, to, format string, args ...string) error {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("write %s: %w", to, fs.ErrExist)
	}
	return atomically(to, func(f *os.File) error {
		all := append([]string{"-hide_banner", "-v", "error", "-nostdin", "-y"}, args...)
		cmd := exec.CommandContext(p.ctx, "ffmpeg", append(all, "-f", format, "file:"+f.Name())...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ffmpeg cannot make %s: %w: %.500s", to, err, strings.TrimSpace(string(out)))
		}
		return nil
	})
}
