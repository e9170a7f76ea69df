package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"airloom/internal/frame"
	"airloom/internal/ogg"
	"airloom/internal/participant"
)

// trackFiles writes what is heard as Ogg Opus. Its methods are called on the goroutine that reads the socket, and close
// when that has ended.
type trackFiles struct {
	path   string // "": write nothing
	single bool   // path is a file for the first track
	open   map[*participant.Incoming]*trackFile
	err    error         // the first one; after it nothing more is written
	failed chan struct{} // closed when err is set
}

// trackFile is the file of one track. Time in it counts from the first frame heard, and goes on through silence,
// losses and new epochs.
type trackFile struct {
	file   *os.File
	buffer *bufio.Writer
	ogg    *ogg.Writer
	epoch  uint8
	at     int64  // where the frame with timestamp `last` lies in the file
	last   uint32 // timestamp
}

func newTrackFiles(path string) (*trackFiles, error) {
	t := &trackFiles{path: path, open: map[*participant.Incoming]*trackFile{}, failed: make(chan struct{})}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".opus", ".ogg", ".oga":
		info, err := os.Stat(path)
		t.single = err != nil || !info.IsDir()
	}
	if path == "" || t.single {
		return t, nil
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, hint(fmt.Errorf("make the folder for tracks: %w", err), "-o takes a folder, or a file that ends in .opus or .ogg.")
	}
	return t, nil
}

func (t *trackFiles) hear(from *participant.Incoming, h participant.Heard) {
	if t.path == "" || t.err != nil {
		return
	}
	f := t.open[from]
	if f == nil {
		if t.single && len(t.open) > 0 || h.Payload == nil {
			return // a file begins with a frame
		}
		var err error
		if f, err = t.create(from, h); err != nil {
			t.fail(err)
			return
		}
		t.open[from] = f
	}
	if err := f.write(h); err != nil {
		t.fail(fmt.Errorf("write %s: %w", f.file.Name(), err))
	}
}

func (t *trackFiles) fail(err error) {
	t.err = err
	close(t.failed)
}

func (t *trackFiles) create(from *participant.Incoming, h participant.Heard) (*trackFile, error) {
	path := t.path
	if !t.single {
		path = filepath.Join(t.path, fileName(from))
	}
	file, err := createNew(path)
	if err != nil {
		return nil, fmt.Errorf("write a track: %w", err)
	}
	f := &trackFile{file: file, buffer: bufio.NewWriter(file), epoch: h.Epoch, last: h.Timestamp}
	head := ogg.Head{Channels: frame.Channels(h.Payload), PreSkip: ogg.EncoderDelay, InputRate: frame.SampleRate}
	if from.Info.Channels > 0 {
		head.Channels = from.Info.Channels
	}
	f.ogg, err = ogg.NewWriter(f.buffer, from.Handle, head, "TITLE="+from.Info.Name, "ARTIST="+from.Name)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write %s: %w", path, err), file.Close())
	}
	return f, nil
}

// createNew makes a file; one that is there is taken only while it is empty.
func createNew(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if !errors.Is(err, fs.ErrExist) {
		return f, err
	}
	if info, there := os.Stat(path); there != nil || info.Size() > 0 || !info.Mode().IsRegular() {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY, 0o644)
}

func (f *trackFile) write(h participant.Heard) error {
	if h.Epoch != f.epoch {
		f.epoch, f.at = h.Epoch, f.ogg.Samples()
	} else {
		f.at += int64(frame.Elapsed(f.last, h.Timestamp))
	}
	f.last = h.Timestamp
	if h.Payload == nil {
		_, _, err := f.ogg.Silence(f.at, int64(h.Span)*int64(h.Samples))
		return err
	}
	_, err := f.ogg.Frame(f.at, h.Payload)
	return err
}

func (t *trackFiles) close() error {
	err := t.err
	for _, f := range t.open {
		closing := errors.Join(f.ogg.Close(0), f.buffer.Flush(), f.file.Close())
		if closing != nil && t.err == nil {
			err = errors.Join(err, fmt.Errorf("close %s: %w", f.file.Name(), closing))
		}
	}
	return err
}

// fileName is made of what a stranger named the track: only harmless characters stay.
func fileName(from *participant.Incoming) string {
	clean := func(s string) string {
		s = strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
				return r
			}
			return '-'
		}, s)
		return strings.Trim(s[:min(len(s), 40)], "-")
	}
	parts := []string{}
	for _, s := range []string{clean(from.Name), clean(from.Info.Name), trackID(from)} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, "-") + ".opus"
}

func trackID(t *participant.Incoming) string { return frame.TrackID(t.Handle) }
