package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"airloom/internal/participant"
	"airloom/internal/recording"
)

// recordingSource is where a recording's files come from: a folder, or an edge. It is a recording.Files.
type recordingSource struct {
	p    *program
	dir  string
	api  *api
	id   string
	raw  []byte    // the manifest as it is stored
	line *progress // says how far reading is, where all is not 0
	all  int64     // bytes there are to read
	done int64     // bytes read
}

const longestManifest = 256 << 20

// read gives the manifest's bytes.
func (s *recordingSource) read() ([]byte, error) {
	content, err := s.Open(s.p.ctx, recording.ManifestFile)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	s.raw, err = io.ReadAll(io.LimitReader(content, longestManifest+1))
	if err == nil && len(s.raw) > longestManifest {
		err = fmt.Errorf("it is longer than %s", size(longestManifest))
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", recording.ManifestFile, err)
	}
	return s.raw, nil
}

// manifest reads what the recording consists of.
func (s *recordingSource) manifest() (*recording.Manifest, error) {
	data, err := s.read()
	if err != nil {
		return nil, err
	}
	m := new(recording.Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, hint(fmt.Errorf("read %s: %w", recording.ManifestFile, err),
			"The manifest is damaged: `airloom recording rebuild ID` makes it again from the log, as far as that goes back.")
	}
	if s.id != "" && m.Recording != s.id {
		return nil, hint(fmt.Errorf("read %s: it is that of another recording, %.80q", recording.ManifestFile, m.Recording),
			"Somebody has moved recordings in the blob store: `airloom recording rebuild ID` makes it again from the log, as far as that goes back.")
	}
	return m, nil
}

// Open opens a file by its name. Errors match fs.ErrNotExist where there is none.
func (s *recordingSource) Open(ctx context.Context, file string) (io.ReadCloser, error) {
	if !recording.IsFile(file) {
		return nil, fmt.Errorf("open %.80q: %w", file, recording.ErrName)
	}
	if s.api == nil {
		content, err := os.Open(filepath.Join(s.dir, filepath.FromSlash(file)))
		if err != nil {
			return nil, err
		}
		return watchedReader{content, s, file}, nil
	}
	content, err := s.api.do(ctx, http.MethodGet, "v1/recordings/"+s.id+"/files/"+file, nil, nil)
	var problem *participant.Problem
	if errors.As(err, &problem) && problem.Code == "no_such_file" {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	return watchedReader{content, s, file}, nil
}

// List names the files there are; an edge tells of all but the segments, which the manifest names.
func (s *recordingSource) List(context.Context) ([]string, error) {
	if s.api != nil {
		var answer struct {
			Files []string `json:"files"`
		}
		err := s.api.call(http.MethodGet, "v1/recordings/"+s.id+"/files", nil, nil, &answer)
		return answer.Files, err
	}
	var names []string
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.dir, path)
		name := filepath.ToSlash(rel)
		if entry.IsDir() {
			if name != "." && !strings.HasPrefix(name+"/", recording.SegmentsDir) {
				return fs.SkipDir
			}
			return err
		}
		if !strings.HasPrefix(entry.Name(), ".") { // what is being written, and what file managers leave
			names = append(names, name)
		}
		return err
	})
	return names, err
}

// hasSegments says whether the files of segments are in the folder.
func (s *recordingSource) hasSegments() bool {
	info, err := os.Stat(filepath.Join(s.dir, recording.SegmentsDir))
	return s.api == nil && err == nil && info.IsDir()
}

// watch makes reading say how far it is.
func (s *recordingSource) watch(line *progress, m *recording.Manifest, segments bool) {
	for _, t := range m.Tracks {
		s.all += t.Bytes
		for _, seg := range t.Segments {
			if segments {
				s.all += int64(seg.Bytes)
			}
		}
	}
	s.line = line
}

type watchedReader struct {
	io.ReadCloser
	of   *recordingSource
	file string
}

// Read implements io.Reader.
func (w watchedReader) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	s := w.of
	if s.line == nil {
		return n, err
	}
	if s.done += int64(n); s.line.due() && s.all > 0 {
		s.line.show("%s  %s of %s (%d%%)", w.file, size(s.done), size(s.all), min(100, 100*s.done/s.all))
	}
	return n, err
}
