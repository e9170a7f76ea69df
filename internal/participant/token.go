package participant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Token is what opens a room: the JWT, whose it is and until when.
type Token struct {
	Token    string    `json:"token"`
	Identity string    `json:"identity"`
	Expires  time.Time `json:"-"`
}

// TokenSource gets a token, at first and again before one ends. identity is empty the first time; later it is the one
// that the new token must have.
type TokenSource func(ctx context.Context, identity string) (Token, error)

// Problem is an error document of an edge's REST (RFC 9457).
type Problem struct {
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// Error implements error.
func (p *Problem) Error() string {
	words := p.Title
	switch {
	case p.Detail != "" && p.Title != "":
		words = p.Title + ": " + p.Detail
	case p.Detail != "":
		words = p.Detail
	case words == "":
		words = http.StatusText(p.Status)
	}
	return fmt.Sprintf("the edge answers %d: %s", p.Status, words)
}

// ReadProblem makes an error of an answer that is not a success. Its body need not be a problem document.
func ReadProblem(answer *http.Response) error {
	p := &Problem{}
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 16<<10)) // what arrived is all there is to tell
	if strings.Contains(answer.Header.Get("Content-Type"), "json") {
		_ = json.Unmarshal(body, p) // a document that does not decode leaves the bare status
	}
	p.Status = answer.StatusCode
	return p
}

// DevTokens gets tokens from an edge (of several with commas, the first that answers) that gives them to any caller on loopback (its --dev-tokens). room may be "*".
// A Problem comes back from an edge that refuses.
func DevTokens(base, room, identity, name string) TokenSource {
	return func(ctx context.Context, known string) (Token, error) {
		if known == "" {
			known = identity
		}
		ask := map[string]string{"room": room}
		if known != "" {
			ask["identity"] = known
		}
		if name != "" {
			ask["name"] = name
		}
		var err error
		for _, edge := range Addresses(base) {
			var got Token
			if got, err = fetchToken(ctx, edge, ask); err == nil || ctx.Err() != nil {
				return got, err
			}
		}
		return Token{}, err
	}
}

func fetchToken(ctx context.Context, base string, ask map[string]string) (Token, error) {
	target, err := HTTPURL(base)
	if err != nil {
		return Token{}, err
	}
	body, err := json.Marshal(ask)
	if err != nil {
		return Token{}, fmt.Errorf("encode token request: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.JoinPath("v1/tokens").String(), bytes.NewReader(body))
	if err != nil {
		return Token{}, fmt.Errorf("make token request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return Token{}, fmt.Errorf("get a token: %w", Unwrapped(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return Token{}, fmt.Errorf("get a token: %w", ReadProblem(answer))
	}
	var got struct {
		Token
		ExpiresUnix int64 `json:"expires_unix"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 64<<10)).Decode(&got); err != nil || got.Token.Token == "" {
		return Token{}, fmt.Errorf("get a token: %s does not answer like an airloom edge", target.Host)
	}
	got.Expires = time.Unix(got.ExpiresUnix, 0)
	return got.Token, nil
}

// Unwrapped takes the method and address off an HTTP error, which the caller says better itself.
func Unwrapped(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// HTTPURL checks an edge's address (http, https, ws or wss) and gives the base of its REST.
func HTTPURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%.200q is not the address of an edge (as http://127.0.0.1:8080)", raw)
	}
	switch u.Scheme {
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	case "http", "https":
	default:
		return nil, fmt.Errorf("%.200q is not the address of an edge: use http, https, ws or wss", raw)
	}
	u.RawQuery, u.Fragment = "", ""
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1/ws")
	return u, nil
}

func socketURL(raw string) (string, error) {
	u, err := HTTPURL(raw)
	if err != nil {
		return "", err
	}
	u = u.JoinPath("v1/ws")
	u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	return u.String(), nil
}
