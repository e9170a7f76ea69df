package rest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"airloom/internal/problem"
	"airloom/internal/query"
	"airloom/internal/recording"
)

// file streams a file of a recording from the recorder, in pieces, whole or one range of it (RFC 9110, 14).
func (d *door) file(w http.ResponseWriter, r *http.Request) error {
	if err := d.mayRead(r); err != nil {
		return err
	}
	question := query.FileQuestion{Recording: r.PathValue("recording"), File: r.PathValue("file")}
	if !fileName(question.File) {
		return noFile()
	}
	about, err := d.askFile(r.Context(), question) // of length 0: says how long it is
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", contentType(question.File))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Cache-Control", "private, no-cache") // may be kept, but asked for again with its ETag
	etag := ""
	if about.SHA256 != "" {
		etag = `"` + about.SHA256 + `"`
		h.Set("ETag", etag)
	}
	if etag != "" && strings.Contains(r.Header.Get("If-None-Match"), etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	from, to, status := int64(0), about.Size, http.StatusOK
	if ranges := r.Header.Get("Range"); strings.HasPrefix(ranges, "bytes=") && rangeHolds(r, etag) {
		if from, to, err = oneRange(ranges, about.Size); err != nil {
			return err
		}
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, about.Size))
	}
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	return d.copyFile(w, r, question, from, to)
}

// copyFile writes bytes from–to (exclusive). The file may have grown meanwhile but never changes what it had.
func (d *door) copyFile(w http.ResponseWriter, r *http.Request, question query.FileQuestion, from, to int64) error {
	control := http.NewResponseController(w)
	for from < to {
		question.Offset, question.Length = from, int(min(to-from, query.MaxRead))
		part, err := d.askFile(r.Context(), question)
		if err != nil {
			return err
		}
		if len(part.Data) == 0 {
			return fmt.Errorf("read %s of %s: it ends at %d, not at %d", question.File, question.Recording, from, to)
		}
		_ = control.SetWriteDeadline(time.Now().Add(writePatience))
		if _, err := w.Write(part.Data); err != nil {
			return fmt.Errorf("write file: %w", err)
		}
		from += int64(len(part.Data))
	}
	return nil
}

func (d *door) askFile(ctx context.Context, question query.FileQuestion) (query.FilePart, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Patience)
	defer cancel()
	part, err := query.AskFile(ctx, d.deps.Bus.Conn(), question)
	var refused *query.Refused
	switch {
	case errors.As(err, &refused) && refused.Status == http.StatusNotFound:
		return part, noFile()
	case err != nil:
		return part, unanswered(err, "recorder")
	}
	return part, nil
}

func noFile() error {
	return problem.New(http.StatusNotFound, "no_such_file", "The recording has no such file; its manifest lists them.")
}

// fileName says whether a path can be one of a recording's: up to four plain names. It is decided here, before it reaches a store.
func fileName(name string) bool {
	if _, ok := recording.SignedBy(name); ok { // the only names with a key id in them
		return true
	}
	parts := strings.Split(name, "/")
	if len(parts) > 4 || len(name) > 200 {
		return false
	}
	for _, part := range parts {
		if part == "" || part[0] == '.' {
			return false
		}
		for _, c := range []byte(part) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
				return false
			}
		}
	}
	return true
}

func contentType(file string) string {
	switch path.Ext(file) {
	case ".opus", ".ogg":
		return "audio/ogg"
	case ".json", ".sig":
		return "application/json"
	}
	return "application/octet-stream"
}

// rangeHolds says whether If-Range, where sent, still names the file as it is.
func rangeHolds(r *http.Request, etag string) bool {
	sent := r.Header.Get("If-Range")
	return sent == "" || (etag != "" && sent == etag)
}

// oneRange reads a single byte range against a size; from–to, to exclusive. All else is 416: no player needs several, and a
// thousand of them are an attack.
func oneRange(header string, size int64) (from, to int64, err error) {
	first, last, ok := strings.Cut(strings.TrimPrefix(header, "bytes="), "-")
	from, firstErr := number(first)
	to, lastErr := number(last)
	switch {
	case !ok:
	case first == "" && lastErr == nil && to > 0 && size > 0: // the last so many
		return max(size-to, 0), size, nil
	case firstErr == nil && last == "" && from < size:
		return from, size, nil
	case firstErr == nil && lastErr == nil && from <= to && from < size:
		return from, min(to, size-1) + 1, nil
	}
	return 0, 0, problem.New(http.StatusRequestedRangeNotSatisfiable, "bad_range", "Ask for one range of bytes within the file's %d.", size).
		With("Content-Range", fmt.Sprintf("bytes */%d", size))
}

// number reads digits alone: no sign, no space.
func number(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 62)
	return int64(n), err
}
