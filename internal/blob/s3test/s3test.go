// Package s3test runs a real S3 server for tests, on loopback and a folder, and a proxy before it that can be told to fail.
//
// The server is versitygw, which scripts/setup builds. No code that ships imports this.
package s3test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"
)

const (
	access, secret = "airloom-test", "airloom-test-secret"
	bucket         = "recordings"
)

// Server is an S3 server with one bucket.
type Server struct {
	t    *testing.T
	root string
	addr string
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a server and sets the credentials in the environment of this test, which must not run in parallel therefore.
func Start(t *testing.T) *Server {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	s := &Server{t: t, root: t.TempDir()}
	if err := os.Mkdir(s.Dir(), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	l.Close()
	s.Run()
	t.Cleanup(s.Kill)
	return s
}

// Dir is the folder with the bucket's objects as files.
func (s *Server) Dir() string { return filepath.Join(s.root, bucket) }

// URL is the bucket as airloom's --blob takes it.
func (s *Server) URL() string { return bucketURL("http://" + s.addr) }

func bucketURL(endpoint string) string {
	return "s3://" + bucket + "?region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(endpoint)
}

// Run starts the server, after Kill on the same port and folder, and waits until it takes connections.
func (s *Server) Run() {
	s.t.Helper()
	_, here, _, _ := runtime.Caller(0)
	program := filepath.Join(filepath.Dir(here), "..", "..", "..", "bin", "tools", "versitygw")
	if _, err := os.Stat(program); err != nil {
		s.t.Fatalf("the S3 server is missing: run scripts/setup tools: %v", err)
	}
	s.cmd = exec.Command(program, "--access", access, "--secret", secret, "--port", s.addr, "--quiet", "posix", s.root)
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.t.TempDir()}
	s.cmd.Stderr = s.t.Output()
	s.cmd.WaitDelay = time.Second
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, done := s.cmd, make(chan struct{})
	s.done = done
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(done)
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", s.addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("the S3 server does not come up: %v", err)
		}
	}
}

// Kill is kill -9.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone
	<-s.done
}

// Fault is what the proxy does with a request.
type Fault int

// Faults.
const (
	None    Fault = iota
	Busy          // 503 SlowDown
	Stalled       // takes the request and says nothing until the caller gives up
	Cut           // breaks off in the middle of the body, of either side
	Denied        // 403 to all that writes: the bucket is read-only
	Slow          // 100 ms later
	BadETag       // the answer has the ETag of something else
)

// Proxy stands before a server.
type Proxy struct {
	server *httptest.Server
	mu     sync.Mutex
	choose func(*http.Request) Fault
	seen   int // requests that were hurt
	ended  chan struct{}
}

// Before starts a proxy before a server.
func Before(s *Server) *Proxy {
	s.t.Helper()
	target, err := url.Parse("http://" + s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	p := &Proxy{ended: make(chan struct{})}
	pass := httputil.NewSingleHostReverseProxy(target) // it keeps the Host, which is signed
	transport := &http.Transport{}
	pass.Transport = transport
	pass.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(pass, w, r) }))
	s.t.Cleanup(func() {
		p.Fail(nil)
		close(p.ended)
		p.server.CloseClientConnections()
		p.server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

// URL is the bucket behind the proxy.
func (p *Proxy) URL() string { return bucketURL(p.server.URL) }

// Fail chooses what becomes of each request from here on; nil: all pass.
func (p *Proxy) Fail(choose func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.choose, p.seen = choose, 0
}

// Hurt counts the requests that were hurt since Fail.
func (p *Proxy) Hurt() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

func (p *Proxy) fault(r *http.Request) (f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.choose != nil {
		f = p.choose(r)
	}
	if f != None {
		p.seen++
	}
	return f
}

func (p *Proxy) serve(pass http.Handler, w http.ResponseWriter, r *http.Request) {
	switch p.fault(r) {
	case Busy:
		refuse(w, http.StatusServiceUnavailable, "SlowDown")
	case Denied:
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			pass.ServeHTTP(w, r)
			return
		}
		refuse(w, http.StatusForbidden, "AccessDenied")
	case Stalled:
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the caller has given up
		select {
		case <-r.Context().Done():
		case <-p.ended:
		}
		panic(http.ErrAbortHandler)
	case Cut:
		_, _ = r.Body.Read(make([]byte, max(1, r.ContentLength/2)))
		if r.Method == http.MethodGet {
			pass.ServeHTTP(&half{ResponseWriter: w}, r)
		}
		panic(http.ErrAbortHandler)
	case Slow:
		time.Sleep(100 * time.Millisecond)
		pass.ServeHTTP(w, r)
	case BadETag:
		pass.ServeHTTP(liar{w}, r)
	default:
		pass.ServeHTTP(w, r)
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, code)
}

// half passes on the first bytes of a body and drops the rest.
type half struct {
	http.ResponseWriter
	sent int
}

// Write implements io.Writer.
func (h *half) Write(b []byte) (int, error) {
	if h.sent == 0 && len(b) > 1 {
		h.sent = len(b) / 2
		_, err := h.ResponseWriter.Write(b[:h.sent])
		return len(b), err
	}
	return len(b), nil
}

// liar gives an ETag that is not the object's.
type liar struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (l liar) WriteHeader(status int) {
	l.Header().Set("ETag", `"00000000000000000000000000000000"`)
	l.ResponseWriter.WriteHeader(status)
}
