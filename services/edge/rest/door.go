package rest

import (
	"fmt"
	"net/http"
	"path"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"golang.org/x/time/rate"

	"airloom/internal/problem"
)

// door answers HTTP. It holds no state but its bounds.
type door struct {
	cfg     Config
	deps    Deps
	hosts   hosts
	origins Origins
	pages   http.Handler
	bucket  *rate.Limiter // of handshakes and tokens
	follows chan struct{} // one element per open event stream
	turns   *turns        // to load a room for a caller whose token does not have the right
	metrics *metrics
}

// New gives the handler of everything an edge serves over HTTP. Serve it with Server.
func New(cfg Config, deps Deps) (http.Handler, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("REST config: %w", err)
	}
	cfg = cfg.withDefaults()
	pages, err := newPages(deps.Pages)
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	metrics, err := newMetrics()
	if err != nil {
		return nil, fmt.Errorf("register REST metrics: %w", err)
	}
	d := &door{
		cfg: cfg, deps: deps, hosts: newHosts(cfg), origins: cfg.Origins, pages: pages,
		bucket:  rate.NewLimiter(rate.Limit(cfg.HandshakesPerSecond), 2*cfg.HandshakesPerSecond),
		follows: make(chan struct{}, cfg.Follows), turns: newTurns(), metrics: metrics,
	}
	return d.guard(d.mux()), nil
}

// handle is a handler that says what went wrong instead of writing it.
type handle func(w http.ResponseWriter, r *http.Request) error

// route is one row of the API: openapi.json has the same.
type route struct {
	method, pattern string
	handle          handle
}

func (d *door) routes() []route {
	return []route{
		{"POST", "/v1/tokens", d.mint},
		{"GET", "/v1/rooms", d.listRooms},
		{"POST", "/v1/rooms", d.createRoom},
		{"GET", "/v1/rooms/{room}", d.showRoom},
		{"GET", "/v1/rooms/{room}/participants", d.participants},
		{"DELETE", "/v1/rooms/{room}/participants/{session}", d.kick},
		{"PATCH", "/v1/rooms/{room}/sessions", d.grantIdentity},
		{"PATCH", "/v1/rooms/{room}/sessions/{session}", d.grantSession},
		{"GET", "/v1/rooms/{room}/events", d.events},
		{"POST", "/v1/rooms/{room}/close", d.closeRoom},
		{"PUT", "/v1/rooms/{room}/settings", d.setRoom},
		{"PUT", "/v1/rooms/{room}/recording", d.record},
		{"GET", "/v1/recordings", d.listRecordings},
		{"GET", "/v1/recordings/{recording}", d.showRecording},
		{"POST", "/v1/recordings/{recording}/rebuild", d.rebuild},
		{"GET", "/v1/recordings/{recording}/files", d.listFiles},
		{"GET", "/v1/recordings/{recording}/files/{file...}", d.file},
		{"GET", "/v1/openapi.json", d.openapi},
		{"GET", "/v1/ws", d.socket},
		{"GET", "/healthz", d.healthz},
		{"GET", "/readyz", d.readyz},
		{"GET", "/metrics", d.metricsPage},
	}
}

// mux routes by path first and by method then, so that a wrong method is a problem document with Allow like any refusal.
func (d *door) mux() http.Handler {
	mux := http.NewServeMux()
	byPattern := map[string]map[string]handle{}
	for _, r := range d.routes() {
		if byPattern[r.pattern] == nil {
			byPattern[r.pattern] = map[string]handle{}
		}
		byPattern[r.pattern][r.method] = r.handle
	}
	for pattern, methods := range byPattern {
		h := d.dispatch(methods)
		if strings.HasPrefix(pattern, "/v1/") && pattern != "/v1/ws" { // a socket's span would last for hours
			h = otelhttp.NewHandler(h, pattern, otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string {
				return r.Method + " " + pattern
			}))
		}
		mux.Handle(pattern, h)
	}
	mux.Handle("/v1/", d.serve(func(http.ResponseWriter, *http.Request) error {
		return problem.New(http.StatusNotFound, "no_such_path", "There is nothing at this path; /v1/openapi.json says what there is.")
	}))
	mux.Handle("/", d.serve(d.page))
	return mux
}

// dispatch chooses by method and answers what an API answers by itself: 405, and preflights of listed origins.
func (d *door) dispatch(methods map[string]handle) http.Handler {
	names := make([]string, 0, len(methods)+1)
	for _, name := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		if methods[name] != nil {
			names = append(names, name)
		}
		if name == "GET" && methods[name] != nil {
			names = append(names, "HEAD")
		}
	}
	allow := strings.Join(names, ", ")
	return d.serve(func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if h := methods[method]; h != nil {
			return h(w, r)
		}
		if r.Method == http.MethodOptions && d.origins.foreign(r) != "" {
			w.Header().Set("Access-Control-Allow-Methods", allow)
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Range, Traceparent")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return nil
		}
		return problem.New(http.StatusMethodNotAllowed, "method_not_allowed", "This path takes %s.", allow).With("Allow", allow)
	})
}

// serve writes what a handler returns as a problem document.
func (d *door) serve(h handle) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &answered{ResponseWriter: w}
		err := h(sent, r)
		switch {
		case err == nil:
		case sent.begun: // too late for a status: end the connection, so the receiver sees that the answer is not whole
			d.report(r, err)
			panic(http.ErrAbortHandler)
		default:
			d.report(r, err)
			problem.Write(w, err)
		}
	})
}

// answered knows whether the answer has begun.
type answered struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (a *answered) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answered) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController and the socket's hijacking.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// guard is what every request passes first, whatever it asks for.
func (d *door) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if origin := d.origins.foreign(r); origin != "" && strings.HasPrefix(r.URL.Path, "/v1/") {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "ETag, Content-Range, Retry-After")
			w.Header().Add("Vary", "Origin")
		}
		if err := d.acceptable(r); err != nil {
			d.report(r, err)
			w.Header().Set("Connection", "close")
			problem.Write(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *door) acceptable(r *http.Request) error {
	if err := d.hosts.check(r); err != nil {
		return err
	}
	headers := 0
	for _, values := range r.Header {
		headers += len(values)
	}
	switch {
	case headers > maxHeaders:
		return problem.New(http.StatusRequestHeaderFieldsTooLarge, "too_many_headers", "A request may have %d headers.", maxHeaders)
	case len(r.TransferEncoding) > 0:
		// Nothing here takes a body of unknown length; with a Content-Length beside it (which net/http drops, so it cannot be seen
		// here) it would be a smuggling attempt.
		return problem.New(http.StatusBadRequest, "chunked", "Send the body with a Content-Length, not chunked.")
	case !canonical(r.URL.Path):
		return problem.New(http.StatusNotFound, "no_such_path", "There is nothing at this path.")
	}
	return nil
}

// canonical says whether a path has no empty, "." or ".." part: the mux would redirect those, and nothing of ours needs it.
func canonical(p string) bool {
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean == p && !strings.ContainsAny(p, "\x00\\")
}

// secure sets what browsers are to hold us to. Inline styles are the bundle's; scripts come from our own origin alone.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'self'; media-src 'self' blob:; connect-src 'self' ws: wss:; "+
		"style-src 'self' 'unsafe-inline'; worker-src 'self'; frame-ancestors 'self'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", "microphone=(self), display-capture=(self)")
}
