package rest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"airloom/internal/problem"
)

// page gives files of the web bundle; whatever is not the API's is theirs.
func (d *door) page(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes GET, HEAD.").With("Allow", "GET, HEAD")
	}
	d.pages.ServeHTTP(w, r)
	return nil
}

// pages is the bundle in memory: it is small, and its ETags want its bytes once.
type pages struct {
	files map[string]asset // by path, as "/assets/app-x7.js"
}

type asset struct {
	body []byte
	kind string
	etag string
}

func newPages(bundle fs.FS) (http.Handler, error) {
	p := pages{files: map[string]asset{}}
	if bundle == nil {
		return p, nil
	}
	err := fs.WalkDir(bundle, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		body, err := fs.ReadFile(bundle, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		p.files["/"+name] = asset{body: body, kind: kindOf(name), etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	return p, err
}

// kindOf does not lean on the system's MIME table for what browsers refuse when it is wrong.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".wasm":
		return "application/wasm"
	case ".svg":
		return "image/svg+xml"
	case ".json", ".map":
		return "application/json"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

// ServeHTTP implements http.Handler.
func (p pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if application(name) {
		name = "/index.html"
	}
	file, ok := p.files[name]
	switch {
	case !ok && name == "/index.html":
		notBuilt(w)
		return
	case !ok:
		p.lost(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("ETag", file.etag)
	h.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "/assets/") { // their names hold a hash of what is in them
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.body))
}

// lost is the application's own page for people, a problem document for programs.
func (p pages) lost(w http.ResponseWriter, r *http.Request) {
	index, ok := p.files["/index.html"]
	if !ok || !strings.Contains(r.Header.Get("Accept"), "text/html") {
		problem.Write(w, problem.New(http.StatusNotFound, "no_such_path", "There is nothing at this path."))
		return
	}
	w.Header().Set("Content-Type", index.kind)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(index.body) // a receiver that has gone needs no answer
}

// application says whether a path is one that the pages route themselves.
func application(name string) bool {
	if name == "/" || name == "/recordings" {
		return true
	}
	for _, head := range []string{"/room/", "/listen/", "/studio/", "/recordings/"} {
		if rest, ok := strings.CutPrefix(name, head); ok && rest != "" && !strings.Contains(rest, "/") {
			return true
		}
	}
	return false
}

func notBuilt(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	fmt.Fprint(w, `<!doctype html><html lang="en"><meta charset="utf-8"><title>airloom</title>
<h1>This airloom was built without its pages</h1>
<p>The API and the command line work. To have the pages too, run <code>./task build</code>
in its folder; the README says what that needs.</p></html>
`)
}
