package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"airloom/internal/problem"
)

// A probe is JSON when all is well and a problem document when not, that names each part which is not ready.
func TestProbes(t *testing.T) {
	var presence bool
	recorder := errors.New("the recorder cannot write")
	handler := probes(http.NotFoundHandler(), all(
		func() error { return nil }, unless(func() bool { return presence }, "presence has not caught up"), func() error { return recorder },
	))
	ask := func(path string) (*http.Response, problem.Problem) {
		t.Helper()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var said problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &said); w.Code >= 400 && err != nil || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: %q: %v", path, w.Body, err)
		}
		return w.Result(), said
	}
	refused := func(path string, status int, code string, words ...string) {
		t.Helper()
		a, said := ask(path)
		if a.StatusCode != status || a.Header.Get("Content-Type") != problem.ContentType || said.Code != code {
			t.Errorf("%s: %d %s %+v", path, a.StatusCode, a.Header, said)
		}
		for _, word := range words {
			if !strings.Contains(said.Detail, word) {
				t.Errorf("%s: %q does not say %q", path, said.Detail, word)
			}
		}
	}
	refused("/readyz", http.StatusServiceUnavailable, "not_ready", "presence has not caught up", "the recorder cannot write")
	refused("/", http.StatusNotFound, "no_such_path", "/readyz")
	if a, _ := ask("/healthz"); a.StatusCode != http.StatusOK {
		t.Errorf("/healthz of what is not ready: %d", a.StatusCode)
	}
	presence, recorder = true, nil
	if a, _ := ask("/readyz"); a.StatusCode != http.StatusOK || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("/readyz: %d %s", a.StatusCode, a.Header)
	}
}
