package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWriteShowsTheProblemAndHidesItsCause(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("ETag", `"x"`)
	err := fmt.Errorf("handle: %w", New(503, "no_presence", "start %s", "airloom presence").With("Retry-After", "1").Because(io.EOF))
	if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "EOF") {
		t.Errorf("the cause is lost: %v", err)
	}
	Write(w, err)
	if w.Code != 503 || w.Header().Get("Content-Type") != ContentType || w.Header().Get("Retry-After") != "1" || w.Header().Get("ETag") != "" {
		t.Errorf("answer %d, %v", w.Code, w.Header())
	}
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "urn:airloom:problem:no_presence", "title": "Service Unavailable", "status": 503.0,
		"detail": "start airloom presence", "code": "no_presence",
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s = %v, want %v", key, got[key], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("it says more than it should: %v", got)
	}
}

func TestAnErrorThatIsNoProblemShowsNothing(t *testing.T) {
	w := httptest.NewRecorder()
	Write(w, errors.New("password=hunter2"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func TestDetailWithoutArgumentsIsLiteral(t *testing.T) {
	if p := New(400, "x", "100%"); p.Detail != "100%" {
		t.Errorf("detail %q", p.Detail)
	}
}
