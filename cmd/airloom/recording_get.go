package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"airloom/internal/recording"
)

type recordingGetCmd struct {
	ID       recordingID `arg:"" help:"Id of the recording."`
	Output   string      `short:"o" env:"-" type:"path" placeholder:"DIR" help:"Folder for the files; it is made (default: the id)."`
	Segments bool        `env:"-" help:"Fetch the segments, too: all there is, silence and gaps with their reasons included."`
	JSON     bool        `name:"json" help:"Print what was fetched as one object."`
}

// Help is printed below the flags.
func (recordingGetCmd) Help() string {
	return "Fetches manifest.json, manifest.KEY.sig of each recorder that signed it, TRACK.opus, and with --segments segments/TRACK/EPOCH-N.seg.\n" +
		"Files that are there already and the same are left alone; nothing is overwritten.\n\n" +
		"Example:  airloom recording get 20261120-120300123-local-000042 -o town-hall && airloom recording verify town-hall"
}

type fetched struct {
	Recording string   `json:"recording"`
	Dir       string   `json:"dir"`
	State     string   `json:"state"`
	Files     []string `json:"files"`
	Bytes     int64    `json:"bytes"`
}

// Run fetches a recording.
func (c *recordingGetCmd) Run(p *program, at *RecordingCmd) error {
	from, err := at.source(p, string(c.ID))
	if err != nil {
		return err
	}
	if c.Output == "" {
		c.Output = string(c.ID)
	}
	line := p.progress(c.JSON)
	got, err := from.fetch(c.Output, line, fetching{signed: true, segments: c.Segments})
	line.done()
	if err != nil {
		return fmt.Errorf("get %s: %w", c.ID, err)
	}
	if c.JSON {
		return p.json(got)
	}
	fmt.Fprintf(p.out, "%d files, %s, in %s\n", len(got.Files), size(got.Bytes), got.Dir)
	if got.State != string(recording.Closed) {
		fmt.Fprintln(p.errs, "airloom: the recording goes on: only finished tracks were fetched")
	}
	return nil
}

// fetching says what is fetched beside the sound of finished tracks.
type fetching struct {
	signed   bool // the manifest and its signatures
	segments bool
}

// fetch puts a recording into a folder: the sound first and the manifest last, so that a folder with a manifest is whole.
func (s *recordingSource) fetch(dir string, line *progress, what fetching) (got fetched, err error) {
	m, err := s.manifest()
	if err != nil {
		if what.signed && s.raw != nil { // it is damaged: what there is may still be wanted
			return got, s.salvage(dir, err)
		}
		return got, err
	}
	got = fetched{Recording: m.Recording, Dir: dir, State: string(m.State), Files: []string{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return got, fmt.Errorf("make the folder: %w", err)
	}
	s.watch(line, m, what.segments)
	for i := range m.Tracks {
		if err := s.fetchTrack(&got, &m.Tracks[i], what.segments); err != nil {
			return got, err
		}
	}
	if !what.signed {
		return got, nil
	}
	if m.State == recording.Closed {
		if err := s.fetchSignatures(&got); err != nil {
			return got, err
		}
		return got, got.keep(recording.ManifestFile, s.raw)
	}
	_ = os.Remove(filepath.Join(dir, "open.json")) // that of a recording that went on since
	return got, got.keep("open.json", s.raw)
}

func (s *recordingSource) fetchTrack(got *fetched, t *recording.Track, segments bool) error {
	if t.File != "" {
		if t.File != recording.OpusFile(t.Track) || !recording.IsFile(t.File) { // what a server says is not a path
			return fmt.Errorf("the manifest calls a file %.80q", t.File)
		}
		if err := s.fetchOne(got, t.File, t.FileSHA256, t.Bytes); err != nil {
			return err
		}
	}
	if !segments || t.State != recording.Closed {
		return nil
	}
	for _, seg := range t.Segments {
		file := recording.SegmentFile(t.Track, seg.Epoch, seg.N)
		if !recording.IsFile(file) {
			return fmt.Errorf("the manifest has a track called %.80q", t.Track)
		}
		if err := os.MkdirAll(filepath.Join(got.Dir, recording.SegmentsDir, t.Track), 0o755); err != nil {
			return fmt.Errorf("make the folder for segments: %w", err)
		}
		if err := s.fetchOne(got, file, seg.SHA256, int64(seg.Bytes)); err != nil {
			return err
		}
	}
	return nil
}

func (s *recordingSource) fetchOne(got *fetched, file, sum string, bytes int64) error {
	err := fetchFile(filepath.Join(got.Dir, filepath.FromSlash(file)), sum, func() (io.ReadCloser, error) { return s.Open(s.p.ctx, file) })
	got.Files, got.Bytes = append(got.Files, file), got.Bytes+bytes
	return err
}

func (s *recordingSource) fetchSignatures(got *fetched) error {
	names, err := s.List(s.p.ctx)
	if err != nil {
		return fmt.Errorf("ask who signed: %w", err)
	}
	for _, name := range names {
		if _, ok := recording.SignedBy(name); !ok {
			continue
		}
		data, err := s.whole(name)
		if err != nil {
			return err
		}
		if err := got.keep(name, data); err != nil {
			return err
		}
	}
	return nil
}

// whole reads a small file.
func (s *recordingSource) whole(name string) ([]byte, error) {
	content, err := s.Open(s.p.ctx, name)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	defer content.Close()
	data, err := io.ReadAll(io.LimitReader(content, recording.LongestSignature+1))
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", name, err)
	}
	return data, nil
}

// keep writes what is in memory.
func (f *fetched) keep(file string, data []byte) error {
	sum := sha256.Sum256(data)
	f.Files, f.Bytes = append(f.Files, file), f.Bytes+int64(len(data))
	return fetchFile(filepath.Join(f.Dir, file), hex.EncodeToString(sum[:]), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
}

// salvage fetches what there is of a recording whose manifest cannot be read, unchecked, and says so.
func (s *recordingSource) salvage(dir string, why error) error {
	names, err := s.List(s.p.ctx)
	if err != nil {
		return fmt.Errorf("%w; and its files cannot be listed: %w", why, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	for _, name := range names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(path); err == nil || !recording.IsFile(name) {
			continue
		}
		err := atomically(path, func(to *os.File) error {
			content, err := s.Open(s.p.ctx, name)
			if err != nil {
				return err
			}
			defer content.Close()
			_, err = io.Copy(to, content)
			return err
		})
		if err != nil {
			return fmt.Errorf("%w; and %s cannot be fetched: %w", why, name, err)
		}
	}
	return fmt.Errorf("%w; its other files are in %s as they are, unchecked", why, dir)
}
