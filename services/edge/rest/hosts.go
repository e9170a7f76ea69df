package rest

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"airloom/internal/problem"
)

// hosts says which Host headers are ours. On loopback this stops DNS rebinding: a page of a stranger whose name was pointed at
// 127.0.0.1 has the stranger's name in Host.
type hosts struct {
	loopback bool // the edge listens on loopback
	names    []string
}

func newHosts(cfg Config) hosts {
	return hosts{loopback: loopbackHost(cfg.Listen), names: cfg.Hosts}
}

func (h hosts) check(r *http.Request) error {
	if r.URL.Host != "" || r.URL.Scheme != "" || r.Method == http.MethodConnect {
		return problem.New(http.StatusMisdirectedRequest, "misdirected", "This is not a proxy: ask for a path, not for an address.")
	}
	switch name := hostName(r.Host); {
	case slices.Contains(h.names, name):
	case h.loopback && !loopbackHost(r.Host):
		return misdirected("This edge listens on this machine only and answers to localhost; to use another name, start it with --host NAME.")
	case !h.loopback && len(h.names) > 0 && !probe(r):
		return misdirected("This edge does not have that name; to use it, start the edge with --host NAME.")
	}
	return nil
}

func misdirected(words string) error {
	return problem.New(http.StatusMisdirectedRequest, "misdirected", words)
}

// probe says whether it is a request of an orchestrator, which knows an edge by address only.
func probe(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics"
}

// hostName is the name in host or host:port, lower case, IPv6 without brackets.
func hostName(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
}

// loopbackHost says whether host or host:port names this machine to itself.
func loopbackHost(hostport string) bool {
	name := hostName(hostport)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// proxied are the headers by which proxies tell of themselves, besides X-Forwarded-*.
var proxied = []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Original-Forwarded-For", "True-Client-Ip", "Cf-Connecting-Ip"}

// local says whether the caller is a person or program on this machine talking straight to us: no proxy in between, which would
// make everybody look local.
func local(r *http.Request) bool {
	for name := range r.Header {
		if slices.Contains(proxied, name) || strings.HasPrefix(name, "X-Forwarded-") {
			return false
		}
	}
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() || !loopbackHost(r.Host) {
		return false
	}
	origins, sent := r.Header["Origin"]
	if !sent {
		return true
	}
	if len(origins) != 1 {
		return false
	}
	u, err := url.Parse(origins[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.Path == "" && loopbackHost(u.Host)
}

// Origins is the allow-list of pages that may use the API and the socket besides the edge's own.
type Origins []string

// Allow says whether a request comes from no page, from a page of the edge itself, or from one of the list. It compares as
// browsers write origins, byte for byte: what looks alike is something else.
func (o Origins) Allow(r *http.Request) bool {
	sent, ok := r.Header["Origin"]
	if !ok {
		return true
	}
	return len(sent) == 1 && (slices.Contains(o, sent[0]) || own(sent[0], r.Host))
}

// foreign gives the listed origin that a request comes from, or "".
func (o Origins) foreign(r *http.Request) string {
	if sent := r.Header["Origin"]; len(sent) == 1 && slices.Contains(o, sent[0]) {
		return sent[0]
	}
	return ""
}

// own says whether the origin is the host that was asked. TLS may end at a proxy before us, so both schemes will do.
func own(origin, host string) bool {
	host = strings.ToLower(host)
	return host != "" && (origin == "http://"+strings.TrimSuffix(host, ":80") || origin == "https://"+strings.TrimSuffix(host, ":443"))
}
