package edge

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airloom/internal/auth"
	"airloom/internal/room"
)

// forge makes a token of any header and claims, signed by sign.
func forge(header, claims map[string]any, sign func(string) []byte) string {
	enc := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	body := enc(header) + "." + enc(claims)
	return body + "." + base64.RawURLEncoding.EncodeToString(sign(body))
}

func TestRow32NothingSent(t *testing.T) {
	t.Parallel()
	d := newHouse(t).edge(func(e *Edge) { e.limits.hello = 30 * time.Millisecond })
	t.Run("nothing", func(t *testing.T) {
		p := d.dial()
		p.t = t
		p.findType("error")
		p.endsWith(4408)
	})
	t.Run("pings are no hello", func(t *testing.T) {
		p := d.dial()
		p.t = t
		p.sendPing("x")
		p.endsWith(4408)
	})
	t.Run("a session has all the time", func(t *testing.T) {
		p, _ := d.join("r32", "a", nil)
		p.t = t
		joined := time.Now()
		until(t, "the time for hello has passed", func() bool { return time.Since(joined) > 2*d.limits.hello })
		p.stays()
	})
}

func TestRows33To35And46BadTokens(t *testing.T) {
	private, err := auth.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	h.keys = auth.NewKeys(private)
	d := h.edge(nil)
	public := private.Public().(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	stranger, err := auth.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	kid := auth.KeyID(public)
	outside := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(outside, publicPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	header := func(over map[string]any) map[string]any {
		return merge(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": kid}, over)
	}
	claims := func(over map[string]any) map[string]any {
		return merge(map[string]any{
			"iss": auth.Issuer, "aud": auth.DefaultCluster, "sub": "mallory", "jti": "1", "iat": now, "exp": now + 600, "room": "*",
			"grants": map[string]bool{"listen": true, "speak": true},
		}, over)
	}
	ours := func(s string) []byte { return ed25519.Sign(private, []byte(s)) }
	none := func(string) []byte { return nil }
	hs256 := func(key []byte) func(string) []byte {
		return func(s string) []byte {
			m := hmac.New(sha256.New, key)
			m.Write([]byte(s))
			return m.Sum(nil)
		}
	}
	nested := any("x")
	for range 20 {
		nested = []any{nested}
	}
	twice := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":"airloom","aud":"airloom","sub":"a","sub":"b","jti":"1","iat":%d,"exp":%d,"room":"*","grants":{"listen":true}}`, now, now+600)))
	good := forge(header(nil), claims(nil), ours)
	withTwice := strings.Split(good, ".")[0] + "." + twice
	withTwice += "." + base64.RawURLEncoding.EncodeToString(ours(withTwice))

	for name, token := range map[string]string{
		"none at all":                        "",
		"33 alg none":                        forge(header(map[string]any{"alg": "none"}), claims(nil), none),
		"33 HS256 with the public key (PEM)": forge(header(map[string]any{"alg": "HS256"}), claims(nil), hs256(publicPEM)),
		"33 HS256 with the public key":       forge(header(map[string]any{"alg": "HS256"}), claims(nil), hs256(public)),
		"33 unknown kid":                     forge(header(map[string]any{"kid": "AAAAAAAAAAA"}), claims(nil), ours),
		"33 kid is a path":                   forge(header(map[string]any{"kid": outside}), claims(nil), ours),
		"33 kid is a URL":                    forge(header(map[string]any{"kid": "http://169.254.169.254/key"}), claims(nil), ours),
		"33 embedded key":                    forge(header(map[string]any{"jwk": map[string]any{"kty": "OKP"}}), claims(nil), ours),
		"33 somebody else's signature":       forge(header(nil), claims(nil), func(s string) []byte { return ed25519.Sign(stranger, []byte(s)) }),
		"33 no signature":                    forge(header(nil), claims(nil), none),
		"34 expired":                         forge(header(nil), claims(map[string]any{"iat": now - 700, "exp": now - 61}), ours),
		"34 nbf in the future":               forge(header(nil), claims(map[string]any{"nbf": now + 90}), ours),
		"34 exp in ten years":                forge(header(nil), claims(map[string]any{"exp": now + 10*365*86400}), ours),
		"34 no exp":                          forge(header(nil), claims(map[string]any{"exp": nil}), ours),
		"34 issued more than 60 s ahead":     forge(header(nil), claims(map[string]any{"iat": now + 90, "exp": now + 600}), ours),
		"35 another issuer":                  forge(header(nil), claims(map[string]any{"iss": "https://login.example.com"}), ours),
		"35 the staging cluster":             forge(header(nil), claims(map[string]any{"aud": "staging"}), ours),
		"46 more than 4 KiB":                 forge(header(nil), claims(map[string]any{"pad": strings.Repeat("x", 4000)}), ours),
		"46 deep nesting":                    forge(header(nil), claims(map[string]any{"deep": nested}), ours),
		"46 a key twice":                     withTwice,
	} {
		t.Run(name, func(t *testing.T) {
			p := d.dial()
			p.t = t
			m := p.refused("unauthorized", "hello", helloFields("hall", token, nil))
			if token != "" && strings.Contains(m.Message, token) {
				t.Error("the answer repeats the token")
			}
			p.endsWith(4401)
		})
	}
	p := d.dial()
	p.hello("hall", good, nil) // the forger's tools make good ones too
}

func merge(a, b map[string]any) map[string]any {
	for k, v := range b {
		a[k] = v
	}
	return a
}

func TestRow37OtherRoom(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	p := d.dial()
	p.refused("bad_room", "hello", helloFields("vault", h.token("a", func(c *auth.Claims) { c.Room = "hall" }), nil))
	p.endsWith(4403)
	if d.hub("vault") != nil {
		t.Error("the room was opened for a stranger")
	}
}

func TestListenWithoutTheRight(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	mute := h.token("a", func(c *auth.Claims) { c.Grants.Listen = false })
	p := d.dial()
	p.refused("forbidden", "hello", helloFields("hall", mute, nil))
	p.endsWith(4403)
	p = d.dial()
	p.hello("hall", mute, fields{"listen": false})
	p.refused("forbidden", "listen", fields{"on": true})
	p.stays()
}

func TestRow38ListenerSendsAudio(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	p := d.dial()
	p.hello("hall", h.token("a", func(c *auth.Claims) { c.Grants.Speak = false }), nil)
	p.refused("forbidden", "track.start", fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0})
	for i := range 2 {
		p.sendAudio(audio(t, 7, 0, uint32(i), 1, 0))
	}
	p.stays()
	p.sendAudio(audio(t, 7, 0, 2, 1, 0))
	p.endsWith(4403)
}

// Row 39: a kicked session is out at once, and its identity stays out for a while, with the resume secret or without.
func TestRow39Kicked(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	p, w := d.join("hall", "a", nil)
	d.decide("hall", func(s *room.State) (room.Draft, error) { return s.Leave(w.Session, room.Kicked) })
	p.find("kicked", func(m *inMessage) bool { return m.Code == "kicked" && m.Fatal })
	p.endsWith(4403)
	for _, secret := range []string{"", w.Resume} {
		again := d.dial()
		again.refused("kicked", "hello", helloFields("hall", h.token("a", nil), fields{"resume": secret}))
		again.endsWith(4403)
	}
	d.join("hall", "b", nil)
	d.join("attic", "a", nil)
}

func TestRow40TokenExpires(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.edge(func(e *Edge) { e.limits.notice, e.limits.grace = time.Minute, -57*time.Second })
	p := d.dial()
	w := p.hello("hall", h.tokenFor("a", 59*time.Second, nil), nil)
	p.findType("token")
	p.endsWith(4401)
	until(t, "the log says that the session is over", func() bool { return d.state("hall").Sessions[w.Session] == nil })
}

func TestRow40TokenIsRefreshed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.edge(func(e *Edge) { e.limits.notice, e.limits.grace = time.Minute, -57*time.Second })
	p := d.dial()
	p.hello("hall", h.tokenFor("a", 59*time.Second, nil), nil)
	p.findType("token")
	p.must("ok", "refresh", fields{"token": h.token("a", nil)})
	since := time.Now()
	until(t, "the first token would have ended the session", func() bool { return time.Since(since) > 3*time.Second })
	p.stays()
}

func TestRow41Refresh(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	for name, c := range map[string]struct {
		token string
		code  string
		close int
	}{
		"more rights":      {h.token("a", func(c *auth.Claims) { c.Room = "hall"; c.Grants.Moderate = true }), "forbidden", 4403},
		"more rooms":       {h.token("a", nil), "forbidden", 4403},
		"another room":     {h.token("a", func(c *auth.Claims) { c.Room = "vault" }), "forbidden", 4403},
		"another identity": {h.token("b", func(c *auth.Claims) { c.Room = "hall" }), "forbidden", 4403},
		"no token":         {"x.y.z", "unauthorized", 4401},
	} {
		t.Run(name, func(t *testing.T) {
			p := d.dial()
			p.t = t
			p.hello("hall", h.token("a", func(c *auth.Claims) { c.Room = "hall" }), nil)
			p.refused(c.code, "refresh", fields{"token": c.token})
			p.endsWith(c.close)
		})
	}
}

// Row 42: fewer rights count from the next frame on.
func TestRow42GrantNarrowed(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	l, _ := d.join("hall", "listener", nil)
	p, _ := d.join("hall", "a", nil)
	track := p.track()
	p.sendAudio(audio(t, track.Handle, 0, 0, 1, 0))
	until(t, "the first frame is heard", func() bool { return len(l.heard()) == 1 })
	p.must("ok", "refresh", fields{"token": h.token("a", func(c *auth.Claims) { c.Grants.Speak = false })})
	p.sendAudio(audio(t, track.Handle, 0, 1, 1, 0))
	p.find("forbidden", func(m *inMessage) bool { return m.Code == "forbidden" })
	p.stays()
	l.stays()
	if n := len(l.heard()); n != 1 {
		t.Errorf("%d frames are heard", n)
	}
}

func TestRow44ForeignResume(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	a, w := d.join("hall", "alice", nil)
	a.track()
	for name, c := range map[string]struct{ identity, secret, room string }{
		"of another identity": {"mallory", w.Resume, "hall"},
		"of another room":     {"alice", w.Resume, "attic"},
		"altered":             {"alice-2", w.Resume[:len(w.Resume)-1] + "?", "hall"},
		"the session's id":    {"alice-3", w.Session, "hall"},
		"the hash itself":     {"alice-4", hashOf(w.Resume), "hall"},
		"empty":               {"alice-5", "", "hall"},
	} {
		t.Run(name, func(t *testing.T) {
			p, got := d.join(c.room, c.identity, fields{"resume": c.secret})
			p.t = t
			if got.Resumed || got.Session == w.Session || string(got.Tracks) != "[]" || got.Resume == w.Resume {
				t.Errorf("welcome %+v", got)
			}
			if strings.Contains(string(got.Room), w.Resume) {
				t.Error("the secret leaks")
			}
			p.must("ok", "leave", nil)
		})
	}
	a.stays()
}

// Rows 45 and 57: many sockets with one token. The newest session has the identity, those before it are closed with 4409, and
// past ten at once the newest are refused.
func TestRow45ManySocketsWithOneToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.edge(nil)
	token := h.token("a", nil)
	peers := make([]*peer, 40)
	for i := range peers {
		peers[i] = d.dial()
		peers[i].request("hello", helloFields("hall", token, nil))
	}
	codes := map[int]int{}
	open := 0
	for _, p := range peers {
		until(t, p.name("an end, or a welcome"), func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.err != nil || len(p.inbox) > 0
		})
	}
	until(t, "one session is left", func() bool {
		codes, open = map[int]int{}, 0
		for _, p := range peers {
			p.mu.Lock()
			if p.err == nil {
				open++
			} else {
				codes[p.closed]++
			}
			p.mu.Unlock()
		}
		return open == 1
	})
	if codes[4409]+codes[1008] != 39 || codes[4409] < 9 {
		t.Errorf("closed with %v", codes)
	}
	until(t, "the log has one session", func() bool { s := d.state("hall"); return len(s.Sessions) == 1 && s.Occupied() == 1 })
}
