// Package problem writes errors as problem documents (RFC 9457).
//
// A person gets words that say what to do (detail), a program a code that never changes. What is internal to airloom stays in
// the log: an error that is no Problem shows as "internal" alone.
package problem

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// ContentType of the documents.
const ContentType = "application/problem+json"

// Problem is a refusal as its receiver may see it.
type Problem struct {
	Type   string `json:"type"` // a name for Code, as RFC 9457 wants it
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code"` // lower case and underscores, stable

	header http.Header
	cause  error
}

// New gives a problem: an HTTP status, a code, and words that say what to do.
func New(status int, code, detail string, args ...any) *Problem {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{Type: "urn:airloom:problem:" + code, Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// With adds a header to the answer and gives p back.
func (p *Problem) With(key, value string) *Problem {
	if p.header == nil {
		p.header = http.Header{}
	}
	p.header.Set(key, value)
	return p
}

// Because keeps the error that led here, for logs and errors.Is, and gives p back. The receiver does not see it.
func (p *Problem) Because(err error) *Problem {
	p.cause = err
	return p
}

// Error implements error.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status) + " " + p.Code + ": " + p.Detail
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap gives the cause.
func (p *Problem) Unwrap() error { return p.cause }

// Of gives the Problem in err's chain, or an "internal" one.
func Of(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	return New(http.StatusInternalServerError, "internal", "Something went wrong here; the log of the edge knows more.").Because(err)
}

// Write answers with the problem that err is.
func Write(w http.ResponseWriter, err error) {
	p := Of(err)
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{"type":"about:blank","status":500}`) // cannot be: the struct holds strings and a number
	}
	h := w.Header()
	for _, name := range []string{"Content-Length", "Content-Encoding", "ETag", "Last-Modified", "Content-Disposition"} {
		h.Del(name) // they spoke of the body that does not come
	}
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	for key, values := range p.header {
		h[key] = values
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // a receiver that has gone needs no answer
}
