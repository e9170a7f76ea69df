package rest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"airloom/internal/query"
)

const contractURL = "airloom:///openapi.json"

// contract is openapi.json, ready to hold requests and answers against.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

func loadContract(t *testing.T) *contract {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openapiFile))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(doc)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	if err := c.AddResource(contractURL, doc); err != nil {
		t.Fatal(err)
	}
	return &contract{doc: doc.(map[string]any), compiler: c}
}

// closeObjects makes what the document does not describe an error: others must bear new fields, this test must not.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, open := v["additionalProperties"]; !open && v["type"] == "object" && v["properties"] != nil {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

func pointer(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~", "~0"), "/", "~1")
		b.WriteString("/" + url.PathEscape(part))
	}
	return b.String()
}

func (c *contract) at(path ...string) (any, bool) {
	var v any = c.doc
	for _, part := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[part]; !ok {
			return nil, false
		}
	}
	return v, true
}

// check holds a JSON value against the schema at a path of the document.
func (c *contract) check(body []byte, path ...string) error {
	schema, err := c.compiler.Compile(contractURL + "#" + pointer(path...))
	if err != nil {
		return fmt.Errorf("compile %v: %w", path, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// checkAnswer holds an answer against what the document says of it.
func (c *contract) checkAnswer(method, template string, a answer) error {
	kind, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil && len(a.body) > 0 {
		return fmt.Errorf("content type: %w", err)
	}
	if a.StatusCode >= 400 {
		return c.check(a.body, "components", "responses", "Problem", "content", kind, "schema")
	}
	at := []string{"paths", template, strings.ToLower(method), "responses", fmt.Sprint(a.StatusCode)}
	if _, ok := c.at(at...); !ok {
		return fmt.Errorf("status %d is not described", a.StatusCode)
	}
	if kind == "" {
		return nil
	}
	content, ok := c.at(append(at, "content", kind)...)
	if !ok {
		return fmt.Errorf("content type %s is not described", kind)
	}
	if _, ok := content.(map[string]any)["schema"]; !ok || kind == "text/plain" {
		return nil
	}
	lines := [][]byte{a.body}
	if kind == "application/x-ndjson" {
		lines = nil
		for scan := bufio.NewScanner(bytes.NewReader(a.body)); scan.Scan(); {
			lines = append(lines, bytes.Clone(scan.Bytes()))
		}
	}
	for _, line := range lines {
		if err := c.check(line, append(at, "content", kind, "schema")...); err != nil {
			return err
		}
	}
	return nil
}

// template is a route's pattern as OpenAPI writes it.
func (r route) template() string { return strings.ReplaceAll(r.pattern, "...}", "}") }

func TestEveryRouteIsDescribedAndTheReverse(t *testing.T) {
	c := loadContract(t)
	routes := map[string]bool{}
	for _, r := range (&door{}).routes() {
		routes[r.method+" "+r.template()] = true
		if _, ok := c.at("paths", r.template(), strings.ToLower(r.method), "responses"); !ok {
			t.Errorf("%s %s is not in openapi.json", r.method, r.template())
		}
	}
	paths, _ := c.at("paths")
	for path, item := range paths.(map[string]any) {
		for method := range item.(map[string]any) {
			if !routes[strings.ToUpper(method)+" "+path] {
				t.Errorf("openapi.json has %s %s, which does not exist", method, path)
			}
		}
	}
	schemas, _ := c.at("components", "schemas")
	for name := range schemas.(map[string]any) {
		if _, err := c.compiler.Compile(contractURL + "#" + pointer("components", "schemas", name)); err != nil {
			t.Errorf("schema %s: %v", name, err)
		}
	}
}

// Every route answers as the document says: with a success, and with a problem.
func TestAnswersAreAsDescribed(t *testing.T) {
	c := loadContract(t)
	h := build(t, func(_ *Config, deps *Deps) {
		deps.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain; version=0.0.4")
			_, _ = w.Write([]byte("up 1\n"))
		})
		deps.Socket = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) })
	})
	h.presence()
	h.join("hall", "ada")
	h.join("hall", "bob")
	h.speak("hall", "ada", "aaaaaab", 1)
	stopped := time.Now()
	h.recorder([]query.Recording{
		{Recording: "r1", Room: "hall", State: "closed", Started: stopped.Add(-time.Minute), Stopped: &stopped, Seconds: 60, Tracks: []query.RecordedTrack{{
			Track: "aaaaaab", Identity: "ada", Name: "mic", Frames: 3000, Seconds: 60, File: "aaaaaab.opus", Bytes: 9,
		}}},
		{Recording: "r2", Room: "hall", State: "open", Started: stopped, Tracks: []query.RecordedTrack{}},
	}, map[string]string{"aaaaaab.opus": "OggS-data", "manifest.json": "{}"})
	all := h.token("*", "listen", "speak", "record", "moderate", "mint")

	for _, x := range []struct {
		method, template string // the route
		path, body       string // "": the template
		bad              string // a path or body that is refused
		want, wantBad    int
		open             bool // takes no token
	}{
		{"POST", "/v1/tokens", "", `{"room":"hall","identity":"eve","grants":{"listen":true},"ttl_seconds":60}`, `{"room":"a.b"}`, 200, 400, false},
		{"POST", "/v1/rooms", "", `{"room":"new","keep":"record","capacity":3}`, `{"room":"new","keep":"all"}`, 201, 400, false},
		{"POST", "/v1/rooms", "", `{"room":"new","keep":"record","capacity":3}`, `{"room":"new","keep":"none"}`, 200, 409, false},
		{"GET", "/v1/rooms", "", "", "", 200, 0, false},
		{"GET", "/v1/rooms/{room}", "/v1/rooms/hall", "", "/v1/rooms/ha.ll", 200, 400, false},
		{"GET", "/v1/rooms/{room}", "/v1/rooms/nobody-made-it?at=2026-01-01T00:00:00Z", "", "/v1/rooms/hall?at=noon", 200, 400, false},
		{"GET", "/v1/rooms/{room}", "/v1/rooms/hall?at=2099-01-01T00:00:00Z", "", "/v1/rooms/hall?offset=-1", 200, 400, false},
		{"GET", "/v1/rooms/{room}/participants", "/v1/rooms/hall/participants", "", "/v1/rooms/H/participants", 200, 400, false},
		{"GET", "/v1/rooms/{room}/events", "/v1/rooms/hall/events", "", "/v1/rooms/hall/events?after=-1", 200, 400, false},
		{"PUT", "/v1/rooms/{room}/settings", "/v1/rooms/hall/settings", `{"capacity":10}`, `{"capacity":-1}`, 200, 400, false},
		{"PATCH", "/v1/rooms/{room}/sessions", "/v1/rooms/hall/sessions", `{"identity":"bob","grants":{"speak":false}}`, `{"identity":"bob","grants":{}}`, 200, 400, false},
		{"PATCH", "/v1/rooms/{room}/sessions/{session}", "/v1/rooms/hall/sessions/bob", `{"grants":{"moderate":true}}`, "/v1/rooms/hall/sessions/nobody", 200, 404, false},
		{"PUT", "/v1/rooms/{room}/recording", "/v1/rooms/hall/recording", `{"on":true}`, `{}`, 200, 400, false},
		{"DELETE", "/v1/rooms/{room}/participants/{session}", "/v1/rooms/hall/participants/bob", "", "/v1/rooms/hall/participants/nobody", 200, 404, false},
		{"POST", "/v1/rooms/{room}/close", "/v1/rooms/hall/close", `{"reason":"late"}`, `{"why":"late"}`, 200, 400, false},
		{"GET", "/v1/recordings", "", "", "/v1/recordings?after=.", 200, 400, false},
		{"GET", "/v1/recordings/{recording}", "/v1/recordings/r1", "", "/v1/recordings/r9", 200, 404, false},
		{"POST", "/v1/recordings/{recording}/rebuild", "/v1/recordings/r1/rebuild", `{"dry_run":true}`, "/v1/recordings/r9/rebuild", 202, 404, false},
		{"POST", "/v1/recordings/{recording}/rebuild", "/v1/recordings/r1/rebuild", `{"recorder":"rec7"}`, `{"recorder":"rec.7"}`, 200, 400, false},
		{"POST", "/v1/recordings/{recording}/rebuild", "/v1/recordings/r1/rebuild", `{}`, `{"recorder":"gone"}`, 202, 410, false},
		{"POST", "/v1/recordings/{recording}/rebuild", "/v1/recordings/r1/rebuild", `{}`, "/v1/recordings/r2/rebuild", 202, 409, false},
		{"POST", "/v1/recordings/{recording}/rebuild", "/v1/recordings/r1/rebuild", `{}`, "/v1/recordings/r3/rebuild", 202, 429, false},
		{"GET", "/v1/recordings/{recording}/files", "/v1/recordings/r1/files", "", "/v1/recordings/r9/files", 200, 404, false},
		{"GET", "/v1/recordings/{recording}/files/{file}", "/v1/recordings/r1/files/aaaaaab.opus", "", "/v1/recordings/r1/files/x.opus", 200, 404, false},
		{"GET", "/v1/recordings/{recording}/files/{file}", "/v1/recordings/r1/files/manifest.json", "", "/v1/recordings/r9/files/manifest.json", 200, 404, false},
		{"GET", "/v1/openapi.json", "", "", "", 200, 0, true},
		{"GET", "/healthz", "", "", "", 200, 0, true},
		{"GET", "/readyz", "", "", "", 200, 0, true},
		{"GET", "/metrics", "", "", "", 200, 0, true},
	} {
		path := x.path
		if path == "" {
			path = x.template
		}
		what := x.method + " " + path
		verdict := func(a answer, want int) {
			t.Helper()
			if a.StatusCode != want {
				t.Errorf("%s: %d %.300s, want %d", what, a.StatusCode, a.body, want)
			}
			if err := c.checkAnswer(x.method, x.template, a); err != nil {
				t.Errorf("%s: %d %.600s is not as described: %v", what, a.StatusCode, a.body, err)
			}
		}
		token := all
		if x.open {
			token = ""
		}
		if x.body != "" {
			at := []string{"paths", x.template, strings.ToLower(x.method), "requestBody", "content", "application/json", "schema"}
			if err := c.check([]byte(x.body), at...); err != nil {
				t.Errorf("%s: this body is not as described: %v", what, err)
			}
		}
		verdict(h.do(x.method, path, token, x.body), x.want)
		switch {
		case x.bad == "":
		case x.bad[0] == '/':
			verdict(h.do(x.method, x.bad, token, x.body), x.wantBad)
		default:
			verdict(h.do(x.method, path, token, x.bad), x.wantBad)
		}
		if !x.open {
			verdict(h.do(x.method, path, "", x.body), http.StatusUnauthorized)
		}
		verdict(h.do("PROPFIND", path, token, ""), http.StatusMethodNotAllowed)
	}
	part := h.do("GET", "/v1/recordings/r1/files/aaaaaab.opus", all, "", "Range", "bytes=0-3")
	if err := c.checkAnswer("GET", "/v1/recordings/{recording}/files/{file}", part); err != nil || part.StatusCode != 206 {
		t.Errorf("range: %d, %v", part.StatusCode, err)
	}
	if a := h.do("GET", "/v1/ws", "", ""); c.checkAnswer("GET", "/v1/ws", a) != nil || a.StatusCode != 426 {
		t.Errorf("socket: %d %s", a.StatusCode, a.body)
	}
	var doc map[string]any
	h.do("GET", "/v1/openapi.json", "", "").into(t, &doc)
	if doc["openapi"] != "3.1.1" {
		t.Errorf("openapi.json says %v", doc["openapi"])
	}
	if _, err := json.Marshal(doc); err != nil {
		t.Error(err)
	}
}
