// Package query is how one service asks another over NATS request and reply: the shapes of questions and answers, and one way to
// be refused. It holds nothing and knows no HTTP.
//
// A refusal is a reply with the headers of the NATS service API, "Nats-Service-Error-Code" (an HTTP status) and
// "Nats-Service-Error" (words), or one whose body is {"error": words} alone, which counts as 400.
package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"

	"airloom/internal/telemetry"
)

var (
	// ErrNobody says that no service of that kind is running.
	ErrNobody = errors.New("nobody answers this request")
	// ErrSilent says that a service is there and did not answer in time, or NATS is away.
	ErrSilent = errors.New("no answer in time")
)

// Refused is an answer that says no.
type Refused struct {
	Status int // as in HTTP
	Text   string
}

// Error implements error.
func (r *Refused) Error() string { return r.Text }

// Headers of a refusal.
const (
	headerCode  = "Nats-Service-Error-Code"
	headerError = "Nats-Service-Error"
)

// Refuse answers a request with a refusal.
func Refuse(msg *nats.Msg, status int, text string) error {
	return msg.RespondMsg(&nats.Msg{Header: nats.Header{headerCode: {strconv.Itoa(status)}, headerError: {text}}})
}

// Ask sends question as JSON and reads the answer into answer. Errors: ErrNobody, ErrSilent (wrapped), *Refused. ctx bounds the wait.
func Ask(ctx context.Context, conn *nats.Conn, subject string, question, answer any) error {
	msg, err := request(ctx, conn, subject, question)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(msg.Data, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", subject, err)
	}
	return nil
}

func request(ctx context.Context, conn *nats.Conn, subject string, question any) (*nats.Msg, error) {
	body, err := json.Marshal(question)
	if err != nil {
		return nil, fmt.Errorf("encode a request to %s: %w", subject, err)
	}
	msg := &nats.Msg{Subject: subject, Data: body, Header: nats.Header{}}
	telemetry.Inject(ctx, msg.Header)
	reply, err := conn.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("ask %s: %w", subject, ErrNobody)
	case err != nil:
		return nil, fmt.Errorf("ask %s: %w: %w", subject, ErrSilent, err)
	}
	if err := refused(reply); err != nil {
		return nil, err
	}
	return reply, nil
}

func refused(reply *nats.Msg) error {
	if text := reply.Header.Get(headerError); text != "" {
		status, err := strconv.Atoi(reply.Header.Get(headerCode))
		if err != nil {
			status = 500
		}
		return &Refused{Status: status, Text: text}
	}
	if len(reply.Data) > 4<<10 || len(reply.Data) == 0 || reply.Data[0] != '{' {
		return nil
	}
	var body map[string]json.RawMessage
	var text string
	if json.Unmarshal(reply.Data, &body) != nil || len(body) != 1 || json.Unmarshal(body["error"], &text) != nil {
		return nil
	}
	return &Refused{Status: 400, Text: text}
}
