package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"airloom/internal/participant"
)

// api is an edge's REST, spoken by one subcommand.
type api struct {
	p     *program
	base  *url.URL
	token string
}

// api gets a token for every room where none was given.
func (r remote) api(p *program) (*api, error) {
	base, err := participant.HTTPURL(participant.Addresses(r.URL)[0])
	if err != nil {
		return nil, usage(err)
	}
	a := &api{p: p, base: base, token: r.Token}
	if a.token == "" {
		got, err := participant.DevTokens(r.URL, "*", "", "")(p.ctx, "")
		if err != nil {
			return nil, err
		}
		a.token = got.Token
	}
	return a, nil
}

// do sends a request and gives the body of a good answer, which the caller closes. body, where not nil, goes as JSON.
func (a *api) do(ctx context.Context, method, path string, query url.Values, body any) (io.ReadCloser, error) {
	target := a.base.JoinPath(path)
	target.RawQuery = query.Encode()
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		content = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, target.String(), content)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", a.base.Host, participant.Unwrapped(err))
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		return nil, participant.ReadProblem(answer)
	}
	return answer.Body, nil
}

// call is do with an answer that is one JSON object, decoded into result (nil: not looked at). It takes 15 s at most.
func (a *api) call(method, path string, query url.Values, body, result any) error {
	ctx, cancel := context.WithTimeout(a.p.ctx, 15*time.Second)
	defer cancel()
	content, err := a.do(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer content.Close()
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(content, 64<<20)).Decode(result); err != nil {
		return fmt.Errorf("decode the answer of %s: %w", a.base.Host, err)
	}
	return nil
}

func (r remote) ask(p *program, method, path string, params url.Values, body, result any) error {
	a, err := r.api(p)
	if err != nil {
		return err
	}
	return a.call(method, path, params, body, result)
}

// eachLine reads an answer that is a line per object.
func (r remote) eachLine(p *program, path string, params url.Values, f func([]byte) error) error {
	a, err := r.api(p)
	if err != nil {
		return err
	}
	content, err := a.do(p.ctx, http.MethodGet, path, params, nil)
	if err != nil {
		return err
	}
	defer content.Close()
	return eachLine(content, func(line []byte) error {
		if len(line) == 0 {
			return nil
		}
		return f(line)
	})
}
