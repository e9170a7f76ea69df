package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// proxies speaks to toxiproxy, through which all connections of the run pass that a fault may cut or delay.
type proxies struct {
	api  string
	http http.Client
}

// proxy is one of them: who connects to listen comes to upstream.
type proxy struct {
	Name     string `json:"name"`
	Listen   string `json:"listen"`
	Upstream string `json:"upstream"`
	Enabled  bool   `json:"enabled"`
}

type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Toxicity   float64        `json:"toxicity"`
	Attributes map[string]int `json:"attributes"`
}

func newProxies(addr string) *proxies {
	return &proxies{api: "http://" + addr, http: http.Client{Timeout: 10 * time.Second}}
}

func (p *proxies) populate(ctx context.Context, all []proxy) error {
	return p.call(ctx, http.MethodPost, "/populate", all)
}

// cut makes connections through a proxy silent both ways, without closing them: a cable that is pulled. Two may pull at the same one: why tells them
// apart, here and below.
func (p *proxies) cut(ctx context.Context, name, why string) error {
	for _, way := range []string{"upstream", "downstream"} {
		if err := p.add(ctx, name, toxic{Name: "cut-" + why + way, Type: "timeout", Stream: way, Attributes: map[string]int{"timeout": 0}}); err != nil {
			return err
		}
	}
	return nil
}

// mend ends cut; what was silent meanwhile is closed, as bytes are missing from it.
func (p *proxies) mend(ctx context.Context, name, why string) error {
	for _, way := range []string{"upstream", "downstream"} {
		if err := p.call(ctx, http.MethodDelete, "/proxies/"+name+"/toxics/cut-"+why+way, nil); err != nil {
			return err
		}
	}
	return nil
}

// delay adds ms ± jitter both ways.
func (p *proxies) delay(ctx context.Context, name, why string, ms, jitter int) error {
	for _, way := range []string{"upstream", "downstream"} {
		if err := p.add(ctx, name, toxic{Name: "delay-" + why + way, Type: "latency", Stream: way, Attributes: map[string]int{"latency": ms, "jitter": jitter}}); err != nil {
			return err
		}
	}
	return nil
}

func (p *proxies) hasten(ctx context.Context, name, why string) error {
	for _, way := range []string{"upstream", "downstream"} {
		if err := p.call(ctx, http.MethodDelete, "/proxies/"+name+"/toxics/delay-"+why+way, nil); err != nil {
			return err
		}
	}
	return nil
}

// enable closes all connections of a proxy and takes none, or takes them again.
func (p *proxies) enable(ctx context.Context, name string, on bool) error {
	return p.call(ctx, http.MethodPost, "/proxies/"+name, map[string]bool{"enabled": on})
}

func (p *proxies) add(ctx context.Context, name string, t toxic) error {
	t.Toxicity = 1
	return p.call(ctx, http.MethodPost, "/proxies/"+name+"/toxics", t)
}

func (p *proxies) call(ctx context.Context, method, path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode for toxiproxy: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, method, p.api+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask toxiproxy: %w", err)
	}
	answer, err := p.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask toxiproxy: %w", err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	if answer.StatusCode >= 300 {
		return fmt.Errorf("ask toxiproxy: %s %s: %s: %s", method, path, answer.Status, bytes.TrimSpace(said))
	}
	return nil
}
