package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"airloom/internal/recording"
)

// recordingSource is where a recording's files come from: a folder, or an edge.
type recordingSource struct {
	p   *program
	dir string
	api *api
	id  string
	raw []byte // the manifest as it is stored
}

const longestManifest = 256 << 20

func (s *recordingSource) manifest() (*recording.Manifest, error) {
	content, err := s.open(recording.ManifestFile)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	m := new(recording.Manifest)
	if s.raw, err = io.ReadAll(io.LimitReader(content, longestManifest)); err == nil {
		err = json.Unmarshal(s.raw, m)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", recording.ManifestFile, err)
	}
	return m, nil
}

func (s *recordingSource) open(file string) (io.ReadCloser, error) {
	if s.api == nil {
		return os.Open(filepath.Join(s.dir, filepath.Base(file)))
	}
	return s.api.do(s.p.ctx, http.MethodGet, "v1/recordings/"+s.id+"/files/"+file, nil, nil)
}

// watched is open with a line that says how far it is.
func (s *recordingSource) watched(line *progress, m *recording.Manifest) func(string) (io.ReadCloser, error) {
	var all, done int64
	for _, t := range m.Tracks {
		all += t.Bytes
	}
	return func(file string) (io.ReadCloser, error) {
		content, err := s.open(file)
		if err != nil {
			return nil, err
		}
		return watchedReader{content, func(n int) {
			if done += int64(n); line.due() && all > 0 {
				line.show("%s  %s of %s (%d%%)", file, size(done), size(all), 100*done/all)
			}
		}}, nil
	}
}

type watchedReader struct {
	io.ReadCloser
	read func(int)
}

// Read implements io.Reader.
func (w watchedReader) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	w.read(n)
	return n, err
}

type recordingGetCmd struct {
	ID     recordingID `arg:"" help:"Id of the recording."`
	Output string      `short:"o" env:"-" type:"path" placeholder:"DIR" help:"Folder for the files; it is made (default: the id)."`
	JSON   bool        `name:"json" help:"Print what was fetched as one object."`
}

// Help is printed below the flags.
func (recordingGetCmd) Help() string {
	return "Files that are there already and the same are left alone; nothing is overwritten.\n\n" +
		"Example:  airloom recording get 20261120-120300123-local-000042 -o town-hall"
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
	got, err := from.fetch(c.Output, line, true)
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

// fetch puts the finished tracks into a folder, and at last the manifest if it is wanted.
func (s *recordingSource) fetch(dir string, line *progress, manifest bool) (fetched, error) {
	m, err := s.manifest()
	if err != nil {
		return fetched{}, err
	}
	got := fetched{Recording: m.Recording, Dir: dir, State: string(m.State), Files: []string{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return got, fmt.Errorf("make the folder: %w", err)
	}
	open := s.watched(line, m)
	for _, t := range m.Tracks {
		if t.File == "" {
			continue
		}
		if t.File != recording.OpusFile(t.Track) { // what a server says is not a path
			return got, fmt.Errorf("the manifest calls a file %.80q", t.File)
		}
		if err := fetchFile(filepath.Join(dir, t.File), t.FileSHA256, func() (io.ReadCloser, error) { return open(t.File) }); err != nil {
			return got, err
		}
		got.Files, got.Bytes = append(got.Files, t.File), got.Bytes+t.Bytes
	}
	if !manifest {
		return got, nil
	}
	sum := sha256.Sum256(s.raw)
	path := filepath.Join(dir, recording.ManifestFile)
	if m.State != recording.Closed {
		path = filepath.Join(dir, "open.json")
		_ = os.Remove(path) // that of a recording that went on since
	}
	if err := fetchFile(path, hex.EncodeToString(sum[:]), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s.raw)), nil
	}); err != nil {
		return got, err
	}
	got.Files, got.Bytes = append(got.Files, filepath.Base(path)), got.Bytes+int64(len(s.raw))
	return got, nil
}

// fetchFile makes a file with the content of that SHA-256, or none at all.
func fetchFile(path, sum string, open func() (io.ReadCloser, error)) error {
	switch there, err := fileSum(path); {
	case err == nil && there == sum:
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already with other content: %w", path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return atomically(path, func(to *os.File) error {
		content, err := open()
		if err != nil {
			return err
		}
		defer content.Close()
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(to, hash), content); err != nil {
			return fmt.Errorf("fetch %s: %w", filepath.Base(path), err)
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
			return fmt.Errorf("fetch %s: what came has the SHA-256 %s instead of %s: try again", filepath.Base(path), got, sum)
		}
		return nil
	})
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// atomically makes a new file that appears whole or not at all.
func atomically(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it replaces nothing
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}
