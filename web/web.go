// Package web holds the built pages. It owns the bundle in app/dist and nothing else: how the files are served
// (paths, caching, security headers) is the edge's business. A clone where nobody ran the build compiles all the same.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:app/dist
var dist embed.FS

// Dist is the built bundle, index.html at its root.
func Dist() fs.FS {
	sub, err := fs.Sub(dist, "app/dist")
	if err != nil {
		panic("web: " + err.Error()) // the path is a constant: it cannot be invalid
	}
	return sub
}

// Built says whether the bundle was there when this program was compiled.
func Built() bool {
	_, err := fs.Stat(Dist(), "index.html")
	return err == nil
}
