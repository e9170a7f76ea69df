package rest

import (
	"log/slog"
	"net/http"
	"time"
)

const (
	maxHeaderBytes = 16 << 10
	maxHeaders     = 100
	maxBody        = 64 << 10
	headerPatience = 5 * time.Second
	bodyPatience   = 10 * time.Second
	writePatience  = 10 * time.Second // for one piece of a long answer
)

// Server gives the http.Server for a door: with the limits that New cannot set from inside (docs/wire.md: a header that takes
// longer than 5 s is cut; above 16 KiB it is 431). HTTP/1.1 only: sockets need it, and one connection is one caller.
func Server(h http.Handler, logger *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerPatience,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHeaderBytes - 4096, // net/http allows 4096 more than it is told
		Protocols:         protocols,
		// What strangers do wrong is no error of ours.
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}
