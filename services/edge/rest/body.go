package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"airloom/internal/problem"
	"airloom/internal/strict"
)

const maxDepth = 8

// decode reads a JSON body of bounded size, depth and time into v, refusing what v does not know. An empty body leaves v alone
// where optional.
func decode(w http.ResponseWriter, r *http.Request, v any, optional bool) error {
	if optional && r.ContentLength == 0 {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "not_json", "Send the body as Content-Type: application/json.").
			With("Accept", "application/json")
	}
	// Not every writer has deadlines (a recorder in a test); a socket has.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyPatience))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return problem.New(http.StatusRequestEntityTooLarge, "too_long", "A body may be %d bytes long.", maxBody)
		}
		return problem.New(http.StatusBadRequest, "bad_body", "The body did not arrive whole.").Because(err)
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	if err := strict.Decode(b, maxDepth, v); err != nil {
		return problem.New(http.StatusBadRequest, "bad_body", sentence(fmt.Errorf("the body: %w", err))).Because(err)
	}
	return nil
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return replyRaw(w, status, body)
}

func replyRaw(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // rosters and tokens are nobody else's
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a receiver that has gone needs no answer
	return nil
}
