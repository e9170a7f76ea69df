package rest

import (
	"encoding/base64"
	"net/http"
	"strings"

	"airloom/internal/problem"
)

// socket checks the handshake of a WebSocket (RFC 6455, 4.2) and its Origin, then hands it to the edge. Extensions that are
// offered are for the edge to ignore.
func (d *door) socket(w http.ResponseWriter, r *http.Request) error {
	switch {
	case d.deps.Socket == nil:
		return problem.New(http.StatusNotFound, "no_such_path", "This edge has no sockets.")
	case r.Method != http.MethodGet || !hasToken(r.Header["Upgrade"], "websocket") || !hasToken(r.Header["Connection"], "upgrade"):
		return problem.New(http.StatusUpgradeRequired, "upgrade_required", "This is the WebSocket's path: come with an upgrade, as GET.").
			With("Upgrade", "websocket").With("Connection", "Upgrade")
	case len(r.Header["Sec-Websocket-Version"]) != 1 || r.Header["Sec-Websocket-Version"][0] != "13":
		return problem.New(http.StatusUpgradeRequired, "websocket_version", "This edge speaks version 13 of WebSocket.").
			With("Sec-WebSocket-Version", "13").With("Upgrade", "websocket").With("Connection", "Upgrade")
	case !nonce(r.Header["Sec-Websocket-Key"]):
		return problem.New(http.StatusBadRequest, "bad_handshake", "Sec-WebSocket-Key must be there once: 16 bytes in base64.")
	case !d.origins.Allow(r):
		return problem.New(http.StatusForbidden, "foreign_origin", "Pages of that origin may not connect; to let them, start the edge with --origin.")
	case !d.bucket.Allow():
		return overloaded()
	}
	if wrapped, ok := w.(*answered); ok {
		w = wrapped.ResponseWriter // hijacking needs the server's own
	}
	d.deps.Socket.ServeHTTP(w, r)
	return nil
}

func hasToken(values []string, token string) bool {
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

func nonce(keys []string) bool {
	if len(keys) != 1 {
		return false
	}
	b, err := base64.StdEncoding.DecodeString(keys[0])
	return err == nil && len(b) == 16
}
