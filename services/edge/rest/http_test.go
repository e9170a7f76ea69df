package rest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// upgraded is a socket's handler that only says that it was reached.
var upgraded = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if _, ok := w.(http.Hijacker); !ok {
		http.Error(w, "no hijacker", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusOK)
})

func withSocket(_ *Config, deps *Deps) { deps.Socket = upgraded }

// handshake is a good one, amended: an empty value takes a header away.
func (h *house) handshake(amend ...string) answer {
	headers := map[string]string{
		"Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
	}
	for i := 0; i+1 < len(amend); i += 2 {
		headers[amend[i]] = amend[i+1]
	}
	var pairs []string
	for name, value := range headers {
		if value != "" {
			pairs = append(pairs, name, value)
		}
	}
	return h.do("GET", "/v1/ws", "", "", pairs...)
}

func TestRow1To3Handshakes(t *testing.T) {
	h := build(t, withSocket)
	if a := h.handshake(); a.StatusCode != http.StatusOK {
		t.Fatalf("a good handshake does not reach the socket: %d %s", a.StatusCode, a.body)
	}
	noUpgrade := h.do("GET", "/v1/ws", "", "")
	noUpgrade.refused(t, "row 1", http.StatusUpgradeRequired, "upgrade_required")
	if noUpgrade.Header.Get("Upgrade") != "websocket" {
		t.Errorf("row 1: Upgrade is %q", noUpgrade.Header.Get("Upgrade"))
	}
	h.handshake("Upgrade", "h2c").refused(t, "row 1, other upgrade", http.StatusUpgradeRequired, "upgrade_required")
	version := h.handshake("Sec-WebSocket-Version", "8")
	version.refused(t, "row 2", http.StatusUpgradeRequired, "websocket_version")
	if version.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("row 2: it lists %q", version.Header.Get("Sec-WebSocket-Version"))
	}
	for what, key := range map[string]string{"none": "", "short": "c2hvcnQ=", "not base64": "!!!!!!!!!!!!!!!!!!!!!!=="} {
		h.handshake("Sec-WebSocket-Key", key).refused(t, "row 3, "+what, http.StatusBadRequest, "bad_handshake")
	}
	raw := h.raw("GET /v1/ws HTTP/1.1\r\nHost: " + h.host() + "\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		strings.Repeat("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", 2) + "\r\n")
	if !strings.HasPrefix(raw, "HTTP/1.1 400") {
		t.Errorf("row 3, twice: %.40s", raw)
	}
}

func TestRow4Origins(t *testing.T) {
	h := build(t, func(cfg *Config, deps *Deps) {
		deps.Socket = upgraded
		cfg.Origins = []string{"https://app.example.com"}
	})
	for _, origin := range []string{"https://app.example.com", h.http.URL} {
		if a := h.handshake("Origin", origin); a.StatusCode != http.StatusOK {
			t.Errorf("Origin %s: %d %s", origin, a.StatusCode, a.body)
		}
	}
	for _, origin := range []string{
		"null", "https://evil.example", "https://app.example.com.evil", "https://APP.example.com", "HTTPS://app.example.com", "http://app.example.com",
		"https://app.example.com:444", "https://app.example.com/", "https://evil@app.example.com", "app.example.com", "https://аpp.example.com",
		h.http.URL + ".evil", h.http.URL + "@evil", "file://",
	} {
		h.handshake("Origin", origin).refused(t, "Origin "+origin, http.StatusForbidden, "foreign_origin")
	}
}

func TestOwnOrigin(t *testing.T) {
	for _, c := range []struct {
		origin, host string
		want         bool
	}{
		{"https://a.example", "a.example", true},
		{"https://a.example", "A.Example", true},
		{"https://a.example", "a.example:443", true},
		{"http://a.example", "a.example:80", true},
		{"http://a.example:8080", "a.example:8080", true},
		{"https://a.example", "a.example:80", false},
		{"https://a.example:8443", "a.example", false},
		{"https://b.example", "a.example", false},
		{"", "", false},
		{"http://", "", false},
	} {
		if got := own(c.origin, c.host); got != c.want {
			t.Errorf("own(%q, %q) = %v", c.origin, c.host, got)
		}
	}
}

// Row 5: header bytes one by one.
func TestRow5SlowHeadersAreCut(t *testing.T) {
	server := Server(http.NotFoundHandler(), quiet)
	if server.ReadHeaderTimeout != 5*time.Second {
		t.Errorf("headers may take %v", server.ReadHeaderTimeout)
	}
	server.ReadHeaderTimeout = 50 * time.Millisecond
	slow := httptest.NewUnstartedServer(nil)
	slow.Config = server
	slow.Start()
	defer slow.Close()
	conn, err := net.Dial("tcp", slow.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHo")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || strings.HasPrefix(string(b), "HTTP/1.1 2") {
		t.Errorf("the connection is not cut: %q, %v", b, err)
	}
}

func (h *house) host() string { return h.http.Listener.Addr().String() }

// raw sends bytes and gives all that comes back until the server closes.
func (h *house) raw(request string) string {
	h.t.Helper()
	conn, err := net.Dial("tcp", h.host())
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		h.t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(conn, request) }() // the server may close before it has read all
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil && !strings.Contains(err.Error(), "reset") {
		h.t.Fatalf("the server does not close: %v after %q", err, b)
	}
	return string(b)
}

func TestRow6ManyHeaders(t *testing.T) {
	h := build(t, nil)
	big := h.raw("GET /healthz HTTP/1.1\r\nHost: " + h.host() + "\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")
	if !strings.HasPrefix(big, "HTTP/1.1 431") {
		t.Errorf("64 KB of headers: %.60q", big)
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "x%d: 1\r\n", i)
	}
	if a := h.raw("GET /healthz HTTP/1.1\r\nHost: " + h.host() + "\r\n" + many.String() + "\r\n"); !strings.HasPrefix(a, "HTTP/1.1 431") {
		t.Errorf("1,000 headers: %.60q", a)
	}
}

// Row 7: two lengths for one body.
func TestRow7Smuggling(t *testing.T) {
	h := build(t, nil)
	head := "POST /v1/tokens HTTP/1.1\r\nHost: " + h.host() + "\r\nContent-Type: application/json\r\n"
	inner := "GET /healthz HTTP/1.1\r\nHost: " + h.host() + "\r\n\r\n"
	for what, request := range map[string]string{
		"CL and TE":        head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"TE alone":         head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
		"two CL":           head + "Content-Length: 2\r\nContent-Length: 44\r\n\r\n{}" + inner,
		"two TE":           head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + inner,
		"obscure TE":       head + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + inner,
		"CL with a sign":   head + "Content-Length: +2\r\n\r\n{}" + inner,
		"space before CL:": head + "Content-Length : 2\r\n\r\n{}" + inner,
	} {
		a := h.raw(request)
		if !strings.HasPrefix(a, "HTTP/1.1 400") && !strings.HasPrefix(a, "HTTP/1.1 501") {
			t.Errorf("%s: %.80q", what, a)
		}
		if strings.Count(a, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: the inner request was answered: %q", what, a)
		}
	}
}

// Row 8: a Host that is not ours, an absolute address.
func TestRow8Hosts(t *testing.T) {
	check := func(listen string, names []string, host, path string) bool {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		return newHosts(Config{Listen: listen, Hosts: names}).check(r) == nil
	}
	for _, c := range []struct {
		listen string
		names  []string
		host   string
		path   string
		want   bool
	}{
		{"127.0.0.1:8080", nil, "127.0.0.1:8080", "/", true},
		{"127.0.0.1:8080", nil, "localhost:8080", "/", true},
		{"127.0.0.1:8080", nil, "LOCALHOST", "/", true},
		{"127.0.0.1:8080", nil, "app.localhost:8080", "/", true},
		{"127.0.0.1:8080", nil, "[::1]:8080", "/", true},
		{"127.0.0.1:8080", nil, "evil.example", "/", false},
		{"127.0.0.1:8080", nil, "evil.example:8080", "/healthz", false},
		{"127.0.0.1:8080", nil, "127.0.0.1.evil.example", "/", false},
		{"127.0.0.1:8080", nil, "localhost.evil.example", "/", false},
		{"127.0.0.1:8080", nil, "notlocalhost", "/", false},
		{"127.0.0.1:8080", nil, "localhost.", "/", false},
		{"127.0.0.1:8080", nil, "10.0.0.1", "/", false},
		{"127.0.0.1:8080", nil, "", "/", false},
		{"127.0.0.1:8080", []string{"audio.example"}, "Audio.Example:443", "/", true},
		{"[::1]:8080", nil, "evil.example", "/", false},
		{"localhost:8080", nil, "evil.example", "/", false},
		{"0.0.0.0:8080", nil, "anything.example", "/", true},
		{":8080", []string{"audio.example"}, "audio.example", "/", true},
		{":8080", []string{"audio.example"}, "other.example", "/", false},
		{":8080", []string{"audio.example"}, "10.1.2.3:8080", "/readyz", true},
	} {
		if got := check(c.listen, c.names, c.host, c.path); got != c.want {
			t.Errorf("listening on %s as %v: Host %q for %s is ours: %v", c.listen, c.names, c.host, c.path, got)
		}
	}
	h := build(t, nil)
	h.do("GET", "/healthz", "", "", "Host", "evil.example").refused(t, "Host", http.StatusMisdirectedRequest, "misdirected")
	for _, target := range []string{"http://" + h.host() + "/healthz", "http://evil.example/"} {
		if a := h.raw("GET " + target + " HTTP/1.1\r\nHost: " + h.host() + "\r\n\r\n"); !strings.HasPrefix(a, "HTTP/1.1 421") {
			t.Errorf("absolute-form %s: %.40q", target, a)
		}
	}
}

// Row 10: offered extensions do not keep a handshake from the edge.
func TestRow10ExtensionsAreIgnored(t *testing.T) {
	h := build(t, withSocket)
	if a := h.handshake("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99"); a.StatusCode != http.StatusOK {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

// Row 11: more handshakes than an edge takes.
func TestRow11Handshakes(t *testing.T) {
	h := build(t, func(cfg *Config, deps *Deps) {
		deps.Socket = upgraded
		cfg.HandshakesPerSecond = 1
	})
	var refused int
	for range 5 {
		if a := h.handshake(); a.StatusCode != http.StatusOK {
			a.refused(t, "handshake", http.StatusServiceUnavailable, "overloaded")
			if a.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			refused++
		}
	}
	if refused < 2 {
		t.Errorf("%d of 5 are refused", refused)
	}
}

// Row 12: HTTP/2 and its resets are not spoken.
func TestRow12NoHTTP2(t *testing.T) {
	protocols := Server(http.NotFoundHandler(), quiet).Protocols
	if protocols.HTTP2() || protocols.UnencryptedHTTP2() || !protocols.HTTP1() {
		t.Errorf("protocols are %v", protocols)
	}
}

// Row 13: paths that would climb.
func TestRow13Traversal(t *testing.T) {
	h := build(t, nil)
	h.recorder(nil, map[string]string{"a.opus": "x"})
	token := h.token("*", "record")
	for _, path := range []string{
		"/v1/recordings/..%2f..%2fetc%2fpasswd", "/v1/recordings/../../etc/passwd", "/v1/recordings/%00", "/v1/recordings/..%252f", "/v1/recordings/.",
		"/v1/recordings/r1%00", "/v1/recordings/r1/files/..%2f..%2fkey", "/v1/recordings/r1/files/../../key", "/v1/recordings/r1/files/%2e%2e/key",
		"/v1/recordings/r1/files/.hidden", "/v1/recordings/r1/files/a%5c..%5cb", "/v1/recordings/r1/files/a//b", "/v1/recordings/r1/files/",
		"/assets/..%2f..%2findex.html", "/../index.html", "//index.html", "/assets/", "/.keep", "/%2e%2e/%2e%2e/etc/passwd",
	} {
		a := h.raw("GET " + path + " HTTP/1.1\r\nHost: " + h.host() + "\r\nConnection: close\r\nAuthorization: Bearer " + token + "\r\n\r\n")
		if !strings.HasPrefix(a, "HTTP/1.1 404") {
			t.Errorf("%s: %.60q, want 404", path, a)
		}
	}
	for _, name := range []string{"", ".", "..", "a/../b", "a/./b", "/a", "a/", "a\\b", "A", "a b", "a\x00", "é", strings.Repeat("a/", 5) + "a", strings.Repeat("a", 201)} {
		if fileName(name) {
			t.Errorf("fileName(%q)", name)
		}
	}
	for _, name := range []string{"manifest.json", "aaaaaab-0.opus", "tracks/a_b.opus", "manifest.AAECAwQFBgc.sig", "segments/aaaaaai/0-12.seg"} {
		if !fileName(name) {
			t.Errorf("fileName(%q) is refused", name)
		}
	}
}

// Row 15: preflights of foreign origins.
func TestRow15CORS(t *testing.T) {
	h := build(t, func(cfg *Config, _ *Deps) { cfg.Origins = []string{"https://app.example.com"} })
	foreign := h.do("OPTIONS", "/v1/rooms", "", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	foreign.refused(t, "preflight", http.StatusMethodNotAllowed, "method_not_allowed")
	simple := h.do("GET", "/v1/openapi.json", "", "", "Origin", "https://evil.example")
	for _, a := range []answer{foreign, simple, h.do("GET", "/", "", "", "Origin", "https://app.example.com")} {
		for name := range a.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s", name, a.Header.Get(name))
			}
		}
	}
	listed := h.do("OPTIONS", "/v1/rooms", "", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "POST")
	if listed.StatusCode != http.StatusNoContent || listed.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		!strings.Contains(listed.Header.Get("Access-Control-Allow-Methods"), "POST") || listed.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight of a listed origin: %d %v", listed.StatusCode, listed.Header)
	}
	if a := h.do("GET", "/v1/rooms", "", "", "Origin", "https://app.example.com"); a.Header.Get("Access-Control-Allow-Origin") == "" || a.Header.Get("Vary") == "" {
		t.Errorf("a refusal cannot be read by a listed origin: %v", a.Header)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	h := build(t, nil)
	for _, path := range []string{"/v1/", "/v1/nothing", "/v1/rooms/", "/v1/rooms/hall/nothing", "/nothing.js"} {
		h.do("GET", path, "", "").refused(t, path, http.StatusNotFound, "no_such_path")
	}
	for _, method := range []string{"PUT", "DELETE", "PATCH", "TRACE", "PURGE"} {
		a := h.do(method, "/v1/rooms", "", "")
		a.refused(t, method, http.StatusMethodNotAllowed, "method_not_allowed")
		if a.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("Allow is %q", a.Header.Get("Allow"))
		}
	}
	h.do("POST", "/", "", "{}").refused(t, "POST /", http.StatusMethodNotAllowed, "method_not_allowed")
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	h := build(t, nil)
	for _, a := range []answer{h.do("GET", "/", "", ""), h.do("GET", "/v1/rooms", "", ""), h.do("GET", "/x", "", "", "Host", "evil.example")} {
		csp := a.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'self'; media-src 'self' blob:") || strings.Contains(csp, "unsafe-eval") ||
			a.Header.Get("X-Content-Type-Options") != "nosniff" || a.Header.Get("Referrer-Policy") != "no-referrer" ||
			a.Header.Get("Permissions-Policy") != "microphone=(self), display-capture=(self)" {
			t.Errorf("%d: %v", a.StatusCode, a.Header)
		}
	}
}

func TestProbes(t *testing.T) {
	var unready error
	h := build(t, func(_ *Config, deps *Deps) { deps.Ready = func() error { return unready } })
	if a := h.do("GET", "/readyz", "", ""); a.StatusCode != http.StatusOK {
		t.Errorf("ready: %d", a.StatusCode)
	}
	unready = fmt.Errorf("NATS is away")
	h.do("GET", "/readyz", "", "").refused(t, "not ready", http.StatusServiceUnavailable, "not_ready")
	if a := h.do("GET", "/healthz", "", ""); a.StatusCode != http.StatusOK {
		t.Errorf("healthy: %d", a.StatusCode)
	}
}

func TestPages(t *testing.T) {
	h := build(t, nil)
	for _, path := range []string{"/", "/room/hall", "/listen/hall", "/studio/hall", "/recordings", "/recordings/r1"} {
		a := h.do("GET", path, "", "")
		if a.StatusCode != http.StatusOK || string(a.body) != "<!doctype html>app" || a.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s: %d %s %v", path, a.StatusCode, a.body, a.Header)
		}
	}
	if a := h.do("GET", "/rom/hall", "", "", "Accept", "text/html,*/*"); a.StatusCode != http.StatusNotFound || string(a.body) != "<!doctype html>app" {
		t.Errorf("a person who is lost: %d %s", a.StatusCode, a.body)
	}
	h.do("GET", "/rom/hall", "", "").refused(t, "a program that is lost", http.StatusNotFound, "no_such_path")
	script := h.do("GET", "/assets/app-x7.js", "", "")
	if !strings.Contains(script.Header.Get("Cache-Control"), "immutable") || script.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("asset: %v", script.Header)
	}
	worklet := h.do("GET", "/worklet.js", "", "")
	if worklet.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("worklet: %v", worklet.Header)
	}
	if a := h.do("GET", "/worklet.js", "", "", "If-None-Match", worklet.Header.Get("ETag")); a.StatusCode != http.StatusNotModified {
		t.Errorf("If-None-Match: %d", a.StatusCode)
	}
	bare := build(t, func(_ *Config, deps *Deps) { deps.Pages = nil })
	if a := bare.do("GET", "/", "", ""); a.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "./task build") {
		t.Errorf("not built: %d %s", a.StatusCode, a.body)
	}
}

func TestConfigReportsEveryProblem(t *testing.T) {
	err := Config{Hosts: []string{"http://x"}, Origins: []string{"https://App.example"}, Follows: -1}.Validate()
	for _, want := range []string{"no key", "http://x", "https://App.example", "follows"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v, lacks %q", err, want)
		}
	}
	if _, err := New(Config{}, Deps{}); err == nil {
		t.Error("New takes a config without keys")
	}
}

// Where the log is away, an answer comes soon and says so.
func TestLogAway(t *testing.T) {
	h := build(t, func(cfg *Config, _ *Deps) { cfg.Patience = 300 * time.Millisecond })
	token := h.token("*", "listen", "moderate")
	h.nats.Close()
	h.do("GET", "/v1/rooms/hall?at=2026-11-20T12:00:00Z", token, "").refused(t, "at", http.StatusServiceUnavailable, "log_away")
	h.do("POST", "/v1/rooms/hall/close", token, "").refused(t, "close", http.StatusServiceUnavailable, "log_away")
	h.do("GET", "/v1/rooms/hall/events", token, "").refused(t, "events", http.StatusServiceUnavailable, "log_away")
	h.do("GET", "/v1/rooms/hall", token, "").refused(t, "show", http.StatusServiceUnavailable, "no_answer")
}

// The public door says nothing of how busy the edge is, whatever the caller claims to be.
func TestMetricsAreForThisMachineAlone(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "airloom_edge_sessions 3\n") })
	for _, names := range [][]string{nil, {"audio.example"}} {
		door, err := New(Config{Keys: newKeys(t), Listen: ":8080", Hosts: names}, Deps{Logger: quiet, Metrics: page})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			remote, host string
			header       []string
			want         int
		}{
			{"127.0.0.1:50000", "localhost:8080", nil, http.StatusOK},
			{"[::1]:50000", "[::1]:8080", nil, http.StatusOK},
			{"192.168.1.5:50000", "localhost:8080", nil, http.StatusNotFound},
			{"192.168.1.5:50000", "192.168.1.2:8080", nil, http.StatusNotFound},
			{"127.0.0.1:50000", "audio.example", nil, http.StatusNotFound},
			{"127.0.0.1:50000", "localhost:8080", []string{"X-Forwarded-For", "127.0.0.1"}, http.StatusNotFound},
			{"127.0.0.1:50000", "localhost:8080", []string{"Forwarded", "for=127.0.0.1"}, http.StatusNotFound},
		} {
			r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			r.RemoteAddr, r.Host = c.remote, c.host
			if len(c.header) > 0 {
				r.Header.Set(c.header[0], c.header[1])
			}
			w := httptest.NewRecorder()
			door.ServeHTTP(w, r)
			if w.Code != c.want || strings.Contains(w.Body.String(), "sessions") != (c.want == http.StatusOK) {
				t.Errorf("from %s to %s with %v: %d %s", c.remote, c.host, c.header, w.Code, w.Body)
			}
			if c.want == http.StatusNotFound && !strings.Contains(w.Body.String(), "--health") {
				t.Errorf("from %s to %s: it does not say what to do: %s", c.remote, c.host, w.Body)
			}
		}
	}
}
