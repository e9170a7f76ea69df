package rest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"airloom/internal/auth"
)

func dev(cfg *Config, _ *Deps) { cfg.DevTokens = true }

func TestDevTokens(t *testing.T) {
	h := build(t, dev)
	for _, c := range []struct {
		body string
		room string
	}{{`{"room":"hall"}`, "hall"}, {`{"room":"*","identity":"ada","name":"Ada"}`, "*"}} {
		var got tokenAnswer
		h.do("POST", "/v1/tokens", "", c.body).into(t, &got)
		claims, err := h.keys.Verify(got.Token, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if claims.Room != c.room || claims.Grants != auth.AllGrants() || claims.Identity != got.Identity {
			t.Errorf("%s gives %+v", c.body, claims)
		}
		if life := claims.Expires.Sub(claims.Issued); life < 12*time.Hour-2*time.Second || life > 12*time.Hour {
			t.Errorf("it lives for %v", life)
		}
		if c.room == "hall" && (!strings.HasPrefix(got.Identity, "guest-") || len(got.Identity) != len("guest-xxxxxx")) {
			t.Errorf("identity %q is made up", got.Identity)
		}
	}
	var narrow tokenAnswer
	h.do("POST", "/v1/tokens", "", `{"room":"hall","grants":{"listen":true},"ttl_seconds":60}`).into(t, &narrow)
	if narrow.Grants.Speak || !narrow.Grants.Listen {
		t.Errorf("grants %+v were asked as listen alone", narrow.Grants)
	}
	if a := h.do("POST", "/v1/tokens", "", `{"room":"hall"}`, "Origin", h.http.URL); a.StatusCode != http.StatusOK {
		t.Errorf("a page of its own: %d %s", a.StatusCode, a.body)
	}
	h.do("POST", "/v1/tokens", "", `{"room":"hall","grants":{"mint":true}}`).refused(t, "mint", http.StatusForbidden, "wider")
}

// Each sign of a caller from elsewhere alone is enough for a refusal. Row 9: a forged X-Forwarded-For makes nobody local.
func TestRow9DevTokensAreForThisMachineAlone(t *testing.T) {
	door := func(listen string) http.Handler {
		d, err := New(Config{Keys: newKeys(t), DevTokens: true, Listen: listen}, Deps{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	ask := func(to http.Handler, remote, host string, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/v1/tokens", strings.NewReader(`{"room":"hall"}`))
		r.RemoteAddr, r.Host = remote, host
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		to.ServeHTTP(w, r)
		return w
	}
	const me, here = "127.0.0.1:50000", "localhost:8080"
	loopback, open := door("127.0.0.1:8080"), door(":8080")
	for _, c := range [][]string{
		{me, here},
		{"[::1]:50000", "[::1]:8080"},
		{"127.8.8.8:1", "127.0.0.1"},
		{"[::ffff:127.0.0.1]:1", here},
		{me, here, "Origin", "http://localhost:8080"},
		{me, here, "Origin", "http://127.0.0.1:3000"},
		{me, here, "X-Request-Id", "1"},
	} {
		for _, d := range []http.Handler{loopback, open} {
			if w := ask(d, c[0], c[1], c[2:]...); w.Code != http.StatusOK {
				t.Errorf("%v: %d %s", c, w.Code, w.Body)
			}
		}
	}
	for _, c := range [][]string{
		{"192.168.1.5:50000", here},
		{"10.0.0.1:1", "127.0.0.1"},
		{"not an address", here},
		{"", here},
		{"192.168.1.5:50000", here, "X-Forwarded-For", "127.0.0.1"},
		{me, "audio.example"},
		{me, "192.168.1.5:8080"},
		{me, "localhost.evil.example"},
		{me, ""},
		{me, here, "Origin", "https://evil.example"},
		{me, here, "Origin", "null"},
		{me, here, "Origin", "http://localhost.evil.example"},
		{me, here, "Origin", "http://localhost@evil.example"},
		{me, here, "Origin", "http://x@localhost"},
		{me, here, "Origin", "http://localhost/path"},
		{me, here, "Origin", "file://localhost"},
		{me, here, "Origin", ""},
		{me, here, "Origin", "http://localhost", "Origin", "https://evil.example"},
		{me, here, "Forwarded", "for=192.0.2.1"},
		{me, here, "X-Forwarded-For", "127.0.0.1"},
		{me, here, "X-Forwarded-Host", "localhost"},
		{me, here, "X-Forwarded-Proto", "http"},
		{me, here, "Via", "1.1 proxy"},
		{me, here, "X-Real-Ip", "127.0.0.1"},
		{me, here, "x-real-ip", ""},
		{me, here, "Cf-Connecting-Ip", "1.2.3.4"},
	} {
		w := ask(open, c[0], c[1], c[2:]...)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), `"not_local"`) || !strings.Contains(w.Body.String(), "airloom token") {
			t.Errorf("%q: %d %s", c, w.Code, w.Body)
		}
	}
}

func TestWithoutDevTokensNobodyGetsOne(t *testing.T) {
	h := build(t, nil)
	a := h.do("POST", "/v1/tokens", "", `{"room":"hall"}`)
	a.refused(t, "no token", http.StatusUnauthorized, "unauthorized")
	if !strings.Contains(string(a.body), "--dev-tokens") || !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("it does not say what to do: %s %v", a.body, a.Header)
	}
	public := build(t, func(cfg *Config, _ *Deps) {
		path := t.TempDir() + "/key"
		if _, err := auth.WriteKeyPair(path); err != nil {
			t.Fatal(err)
		}
		keys, err := auth.LoadKeys(path + ".pub")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Keys = keys
	})
	b := public.do("POST", "/v1/tokens", "", `{"room":"hall"}`)
	b.refused(t, "public keys only", http.StatusNotImplemented, "no_private_key")
	if !strings.Contains(string(b.body), "airloom token") {
		t.Errorf("it does not say what to do: %s", b.body)
	}
}

// A minted token is never wider than the one it is minted with (cf. row 41).
func TestRow41MintedTokensAreNotWider(t *testing.T) {
	h := build(t, dev) // a bearer token is judged by itself, also where dev tokens are given
	mint := func(bearer, body string) answer { return h.do("POST", "/v1/tokens", bearer, body) }
	host := h.token("hall", "mint", "listen", "speak")
	var got tokenAnswer
	mint(host, `{"room":"hall","identity":"eve","name":"E\u202eve\u0000","grants":{"listen":true},"ttl_seconds":86400}`).into(t, &got)
	claims, err := h.keys.Verify(got.Token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if claims.Identity != "eve" || claims.Name != "Eve" || claims.Room != "hall" || claims.Grants.Speak || !claims.Grants.Listen {
		t.Errorf("minted %+v", claims)
	}
	if left := time.Until(claims.Expires); left > time.Hour {
		t.Errorf("it outlives its maker: %v", left)
	}
	anywhere := h.token("*", "mint", "listen")
	if a := mint(anywhere, `{"room":"cellar","identity":"eve","grants":{"listen":true}}`); a.StatusCode != http.StatusOK {
		t.Errorf("one room of all: %d %s", a.StatusCode, a.body)
	}
	for _, c := range []struct {
		what, bearer, body string
		status             int
		code               string
	}{
		{"another room", host, `{"room":"cellar","identity":"eve","grants":{"listen":true}}`, 403, "wider"},
		{"all rooms", host, `{"room":"*","identity":"eve","grants":{"listen":true}}`, 403, "wider"},
		{"a right it has not", host, `{"room":"hall","identity":"eve","grants":{"moderate":true}}`, 403, "wider"},
		{"no mint right", h.token("hall", "listen", "speak", "record", "moderate"), `{"room":"hall","identity":"eve","grants":{"listen":true}}`, 403, "forbidden"},
		{"no rights asked", host, `{"room":"hall","identity":"eve"}`, 400, "bad_token"},
		{"no identity", host, `{"room":"hall","grants":{"listen":true}}`, 400, "bad_token"},
		{"long identity", host, `{"room":"hall","identity":"` + strings.Repeat("x", 129) + `","grants":{"listen":true}}`, 400, "bad_token"},
		{"too long", host, `{"room":"hall","identity":"eve","grants":{"listen":true},"ttl_seconds":86401}`, 400, "bad_token"},
		{"negative", host, `{"room":"hall","identity":"eve","grants":{"listen":true},"ttl_seconds":-1}`, 400, "bad_token"},
		{"2^63 s", host, `{"room":"hall","identity":"eve","grants":{"listen":true},"ttl_seconds":9223372036854775807}`, 400, "bad_token"},
	} {
		mint(c.bearer, c.body).refused(t, c.what, c.status, c.code)
	}
}

// Rows 33 to 35 and 46 at the door; internal/auth has them one by one.
func TestRow33To35And46BadTokens(t *testing.T) {
	h := build(t, nil)
	hs := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "x"})
	hs.Header["kid"] = h.keys.IDs()[0]
	symmetric, err := hs.SignedString([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	staging := *h.keys
	staging.Cluster = "staging"
	foreign, err := staging.Mint(auth.Claims{Identity: "x", Room: "*", Grants: auth.AllGrants()}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	good := h.token("*", "listen")
	for what, header := range map[string][]string{
		"none": {}, "empty": {"Authorization", ""}, "basic": {"Authorization", "Basic YTpi"}, "no token": {"Authorization", "Bearer"},
		"two": {"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}, "HS256": {"Authorization", "Bearer " + symmetric},
		"staging": {"Authorization", "Bearer " + foreign}, "8 KB": {"Authorization", "Bearer " + strings.Repeat("x", 8<<10)},
		"altered": {"Authorization", "Bearer " + good[:len(good)-2]},
	} {
		a := h.do("GET", "/v1/rooms", "", "", header...)
		a.refused(t, what, http.StatusUnauthorized, "unauthorized")
		if a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", what)
		}
	}
	if a := h.do("GET", "/v1/rooms?token="+good, "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token in the URL is taken: %d", a.StatusCode)
	}
}

// Row 37: another room. And each command asks for its right.
func TestRow37RightsByRoom(t *testing.T) {
	h := build(t, nil)
	h.presence()
	h.recorder(nil, nil)
	rights := []string{"listen", "speak", "record", "moderate", "mint"}
	for _, c := range []struct {
		method, path, body string
		enough             string
	}{
		{"GET", "/v1/rooms", "", "listen speak record moderate mint"},
		{"GET", "/v1/rooms/hall", "", "listen speak record moderate mint"},
		{"GET", "/v1/rooms/hall/participants", "", "listen speak record moderate mint"},
		{"GET", "/v1/rooms/hall/events", "", "listen speak record moderate mint"},
		{"POST", "/v1/rooms", `{"room":"hall"}`, "moderate"},
		{"PUT", "/v1/rooms/hall/settings", `{}`, "moderate"},
		{"DELETE", "/v1/rooms/hall/participants/x", "", "moderate"},
		{"PUT", "/v1/rooms/hall/recording", `{"on":false}`, "record"},
		{"GET", "/v1/recordings", "", "record moderate"},
		{"GET", "/v1/recordings/r1", "", "record moderate"},
		{"GET", "/v1/recordings/r1/files/x", "", "record moderate"},
		{"GET", "/v1/recordings/r1/files", "", "record moderate"},
		{"POST", "/v1/rooms/hall/close", "", "moderate"},
	} {
		for _, right := range append(rights, "") {
			token := h.token("hall", right)
			a := h.do(c.method, c.path, token, c.body)
			if may := right != "" && strings.Contains(c.enough, right); may == (a.StatusCode == http.StatusForbidden) {
				t.Errorf("%s %s with %q alone: %d", c.method, c.path, right, a.StatusCode)
			}
		}
		if strings.Contains(c.path+c.body, "hall") {
			h.do(c.method, c.path, h.token("cellar", rights...), c.body).refused(t, fmt.Sprint("other room: ", c.method, c.path), http.StatusForbidden, "forbidden")
		}
	}
}

// Row 76: names that could leave their subject.
func TestRow76RoomNames(t *testing.T) {
	h := build(t, dev)
	token := h.token("*", "listen", "moderate", "record")
	for _, name := range []string{"a.b", "*", "%3e", "a%20b", "a%0d%0aPUB%20x", "$JS.API", "A", "%C3%A9", strings.Repeat("a", 300), "-a"} {
		for _, x := range [][2]string{{"GET", ""}, {"GET", "/participants"}, {"GET", "/events"}, {"POST", "/close"}, {"PUT", "/settings"}, {"PUT", "/recording"}, {"DELETE", "/participants/s"}} {
			h.do(x[0], "/v1/rooms/"+name+x[1], token, "").refused(t, x[0]+" "+name+x[1], http.StatusBadRequest, "bad_room")
		}
	}
	for _, name := range []string{"", "a.b", ">", "a b", "a\\r\\n", "$JS.API", strings.Repeat("a", 300)} {
		h.do("POST", "/v1/rooms", token, `{"room":"`+name+`"}`).refused(t, "create "+name, http.StatusBadRequest, "bad_room")
		h.do("POST", "/v1/tokens", "", `{"room":"`+name+`"}`).refused(t, "token "+name, http.StatusBadRequest, "bad_room")
	}
	for _, id := range []string{"a.b", "*", "%3e", "A", strings.Repeat("a", 65)} {
		h.do("GET", "/v1/recordings/"+id, token, "").refused(t, "recording "+id, http.StatusNotFound, "no_such_recording")
		h.do("DELETE", "/v1/rooms/hall/participants/"+id, token, "").refused(t, "session "+id, http.StatusNotFound, "no_such_session")
	}
}

func TestBodies(t *testing.T) {
	h := build(t, nil)
	token := h.token("*", "moderate")
	put := func(body string, header ...string) answer {
		return h.do("PUT", "/v1/rooms/hall/settings", token, body, header...)
	}
	put(`{"capacity":1,"surprise":1}`).refused(t, "unknown field", http.StatusBadRequest, "bad_body")
	put(`{"capacity":1,"Capacity":2}`).refused(t, "key twice", http.StatusBadRequest, "bad_body")
	put(`{"capacity":1}{}`).refused(t, "two values", http.StatusBadRequest, "bad_body")
	put(`{"capacity":"1"}`).refused(t, "a string for a number", http.StatusBadRequest, "bad_body")
	put(`{"capacity":1.5}`).refused(t, "a fraction", http.StatusBadRequest, "bad_body")
	put(`{"capacity":1e99}`).refused(t, "too large", http.StatusBadRequest, "bad_body")
	put(`{"keep":`+strings.Repeat("[", 9)+strings.Repeat("]", 9)+`}`).refused(t, "deep", http.StatusBadRequest, "bad_body")
	put(`nope`).refused(t, "no JSON", http.StatusBadRequest, "bad_body")
	put(`{"keep":"`+strings.Repeat("x", 64<<10)+`"}`).refused(t, "64 KiB", http.StatusRequestEntityTooLarge, "too_long")
	put("").refused(t, "no body", http.StatusUnsupportedMediaType, "not_json")
	h.do("PUT", "/v1/rooms/hall/settings", token, "").refused(t, "no content type", http.StatusUnsupportedMediaType, "not_json")
	raw := h.raw("PUT /v1/rooms/hall/settings HTTP/1.1\r\nHost: " + h.host() + "\r\nConnection: close\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}")
	if !strings.HasPrefix(raw, "HTTP/1.1 415") {
		t.Errorf("text/plain: %.60q", raw)
	}
	h.do("PUT", "/v1/rooms/hall/settings", "", strings.Repeat("x", 128<<10)).refused(t, "no token", http.StatusUnauthorized, "unauthorized")
}
