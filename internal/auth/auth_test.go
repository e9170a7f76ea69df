package auth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"airloom/internal/room"
	"airloom/internal/strict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testKeys(t testing.TB) *Keys {
	t.Helper()
	private, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return NewKeys(private)
}

func alice() Claims {
	return Claims{Identity: "alice", Name: "Alice", Room: "hall", Grants: Grants{Grants: room.Grants{Listen: true, Speak: true}}}
}

// forge signs any header and claims with the keys' private key, as a careless or hostile maker would.
func forge(t testing.TB, k *Keys, header, claims string) string {
	t.Helper()
	signing := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return signing + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(k.private, []byte(signing)))
}

func header(k *Keys) string { return fmt.Sprintf(`{"alg":"EdDSA","typ":"JWT","kid":%q}`, k.IDs()[0]) }

// claimsJSON gives good claims for now, with the given ones put over them (nil removes one).
func claimsJSON(t testing.TB, now time.Time, over map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": "airloom", "aud": "airloom", "sub": "alice", "jti": "t1", "room": "hall", "grants": map[string]bool{"listen": true},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for key, value := range over {
		if claims[key] = value; value == nil {
			delete(claims, key)
		}
	}
	b, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func refuses(t *testing.T, k *Keys, what, token string, now time.Time, want error) {
	t.Helper()
	claims, err := k.Verify(token, now)
	if !errors.Is(err, want) || !errors.Is(err, ErrToken) {
		t.Errorf("%s: Verify = %v, want %v", what, err, want)
	}
	if claims != (Claims{}) {
		t.Errorf("%s: a refused token still gave claims %+v", what, claims)
	}
	if err != nil && len(token) > 20 && strings.Contains(err.Error(), token[len(token)-20:]) {
		t.Errorf("%s: the error quotes the token", what)
	}
}

func TestMintedTokenVerifies(t *testing.T) {
	k := testKeys(t)
	want := alice()
	token, err := k.Mint(want, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	got, err := k.Verify(token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if life := got.Expires.Sub(got.Issued); life != 15*time.Minute {
		t.Errorf("it lives for %v", life)
	}
	if got.ID == "" {
		t.Error("it has no id")
	}
	want.ID, want.Issued, want.Expires = got.ID, got.Issued, got.Expires
	if got != want {
		t.Errorf("Verify = %+v, want %+v", got, want)
	}
}

func TestMintRefusesWhatVerifyWould(t *testing.T) {
	k := testKeys(t)
	for _, c := range []struct {
		what   string
		change func(*Claims)
		ttl    time.Duration
		want   error
	}{
		{"no identity", func(c *Claims) { c.Identity = "" }, time.Hour, ErrClaims},
		{"long identity", func(c *Claims) { c.Identity = strings.Repeat("x", 129) }, time.Hour, ErrClaims},
		{"identity with a line break", func(c *Claims) { c.Identity = "a\nb" }, time.Hour, ErrClaims},
		{"identity with a bidi control", func(c *Claims) { c.Identity = "a\u202eb" }, time.Hour, ErrClaims},
		{"no room", func(c *Claims) { c.Room = "" }, time.Hour, ErrClaims},
		{"no room name", func(c *Claims) { c.Room = "a.b" }, time.Hour, ErrClaims},
		{"no life", func(*Claims) {}, 0, ErrLifetime},
		{"too long a life", func(*Claims) {}, 24*time.Hour + 1, ErrLifetime},
	} {
		claims := alice()
		c.change(&claims)
		if _, err := k.Mint(claims, c.ttl); !errors.Is(err, c.want) {
			t.Errorf("%s: Mint = %v, want %v", c.what, err, c.want)
		}
	}
	publicOnly := NewKeys(nil, k.public[k.IDs()[0]])
	if _, err := publicOnly.Mint(alice(), time.Hour); !errors.Is(err, ErrNoPrivateKey) || publicOnly.CanMint() {
		t.Errorf("Mint without a private key = %v", err)
	}
}

// Row 33: alg none, HS256 signed with the public key, an unknown kid, a kid that is a path or a URL.
func TestRow33ForeignKeysAndAlgorithms(t *testing.T) {
	k, now := testKeys(t), time.Now()
	good := claimsJSON(t, now, nil)
	kid := k.IDs()[0]
	if _, err := k.Verify(forge(t, k, header(k), good), now); err != nil {
		t.Fatalf("the good token is refused: %v", err)
	}

	none := forge(t, k, `{"alg":"none","typ":"JWT","kid":"`+kid+`"}`, good)
	refuses(t, k, "alg none", none, now, ErrAlgorithm)
	refuses(t, k, "alg none, no signature", none[:strings.LastIndex(none, ".")+1], now, ErrAlgorithm)
	for _, alg := range []string{"", "NONE", "eddsa", "HS256", "RS256", "ES256", "Ed25519"} {
		refuses(t, k, "alg "+alg, forge(t, k, fmt.Sprintf(`{"alg":%q,"typ":"JWT","kid":%q}`, alg, kid), good), now, ErrAlgorithm)
	}
	hmac := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice"})
	hmac.Header["kid"] = kid
	signed, err := hmac.SignedString([]byte(k.public[kid]))
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, k, "HS256 over the public key", signed, now, ErrAlgorithm)

	for _, other := range []string{"", "x", "../../../etc/passwd", "/dev/null", "https://evil.example/key.json", kid + "\x00", strings.ToUpper(kid)} {
		h, _ := json.Marshal(map[string]string{"alg": "EdDSA", "typ": "JWT", "kid": other})
		refuses(t, k, "kid "+other, forge(t, k, string(h), good), now, ErrUnknownKey)
	}
	refuses(t, k, "no kid", forge(t, k, `{"alg":"EdDSA","typ":"JWT"}`, good), now, ErrUnknownKey)
	for _, extra := range []string{`"jwk":{}`, `"jku":"https://evil.example"`, `"x5u":"https://evil.example"`, `"crit":["x"],"x":1`} {
		refuses(t, k, extra, forge(t, k, fmt.Sprintf(`{"alg":"EdDSA","typ":"JWT","kid":%q,%s}`, kid, extra), good), now, ErrMalformed)
	}
	refuses(t, k, "typ", forge(t, k, fmt.Sprintf(`{"alg":"EdDSA","typ":"at+jwt","kid":%q}`, kid), good), now, ErrMalformed)

	stranger := testKeys(t)
	refuses(t, k, "another key under our kid", forge(t, stranger, header(k), good), now, ErrSignature)
	refuses(t, k, "another key", forge(t, stranger, header(stranger), good), now, ErrUnknownKey)
	token := forge(t, k, header(k), good)
	swapped := strings.Split(token, ".")
	swapped[1] = base64.RawURLEncoding.EncodeToString([]byte(claimsJSON(t, now, map[string]any{"room": "*"})))
	refuses(t, k, "altered claims", strings.Join(swapped, "."), now, ErrSignature)
}

// Row 34: expired, not yet valid, no or far expiry, clocks apart.
func TestRow34Times(t *testing.T) {
	k, now := testKeys(t), time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, c := range []struct {
		what string
		over map[string]any
		want error
	}{
		{"expired", map[string]any{"iat": at(-time.Hour), "exp": at(-60 * time.Second)}, ErrExpired},
		{"expired within the skew", map[string]any{"iat": at(-time.Hour), "exp": at(-59 * time.Second)}, nil},
		{"nbf ahead", map[string]any{"nbf": at(61 * time.Second)}, ErrNotYet},
		{"nbf within the skew", map[string]any{"nbf": at(60 * time.Second)}, nil},
		{"made in the future", map[string]any{"iat": at(61 * time.Second)}, ErrNotYet},
		{"made in the future, within the skew", map[string]any{"iat": at(60 * time.Second)}, nil},
		{"expires in 10 years", map[string]any{"exp": at(10 * 365 * 24 * time.Hour)}, ErrLifetime},
		{"lives 24 h and 1 s", map[string]any{"exp": at(24*time.Hour + time.Second)}, ErrLifetime},
		{"lives 24 h", map[string]any{"exp": at(24 * time.Hour)}, nil},
		{"no exp", map[string]any{"exp": nil}, ErrLifetime},
		{"no iat", map[string]any{"iat": nil}, ErrLifetime},
		{"exp before iat", map[string]any{"iat": at(50 * time.Second), "exp": at(40 * time.Second)}, ErrLifetime},
		{"exp beyond all clocks", map[string]any{"exp": json.Number("1e300"), "iat": json.Number("1e300")}, ErrLifetime},
		{"exp is infinite", map[string]any{"exp": json.Number("1e999")}, ErrMalformed},
		{"exp is a string", map[string]any{"exp": "tomorrow"}, ErrMalformed},
		{"exp negative", map[string]any{"exp": -1, "iat": -2}, ErrLifetime},
	} {
		token := forge(t, k, header(k), claimsJSON(t, now, c.over))
		if c.want != nil {
			refuses(t, k, c.what, token, now, c.want)
		} else if _, err := k.Verify(token, now); err != nil {
			t.Errorf("%s: Verify = %v", c.what, err)
		}
	}
}

// Row 35: a token of another issuer or cluster.
func TestRow35Cluster(t *testing.T) {
	k, now := testKeys(t), time.Now()
	for what, over := range map[string]map[string]any{
		"other issuer":   {"iss": "https://idp.example"},
		"no issuer":      {"iss": nil},
		"other audience": {"aud": "staging"},
		"no audience":    {"aud": nil},
		"empty audience": {"aud": []string{}},
	} {
		refuses(t, k, what, forge(t, k, header(k), claimsJSON(t, now, over)), now, ErrCluster)
	}
	if _, err := k.Verify(forge(t, k, header(k), claimsJSON(t, now, map[string]any{"aud": []string{"other", "airloom"}})), now); err != nil {
		t.Errorf("several audiences: %v", err)
	}
	staging := NewKeys(k.private)
	staging.Cluster = "staging"
	token, err := staging.Mint(alice(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	refuses(t, k, "the staging cluster's token, same key", token, now, ErrCluster)
	if _, err := staging.Verify(token, now); err != nil {
		t.Errorf("its own cluster refuses it: %v", err)
	}
}

// Row 37: a valid token, another room.
func TestRow37OtherRoom(t *testing.T) {
	c := alice()
	if err := c.For("hall"); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"halls", "hal", "", "*", "Hall"} {
		if err := c.For(other); !errors.Is(err, ErrRoom) {
			t.Errorf("For(%q) = %v, want ErrRoom", other, err)
		}
	}
	c.Room = AnyRoom
	if err := c.For("anything"); err != nil {
		t.Error(err)
	}
	if err := (Claims{}).For(""); !errors.Is(err, ErrRoom) {
		t.Errorf("empty claims open the empty room: %v", err)
	}
}

// Row 41: a refresh with more rights or another identity.
func TestRow41RefreshMayNotWiden(t *testing.T) {
	all := AllGrants()
	all.Mint = true
	for _, c := range []struct {
		what   string
		older  Claims
		change func(*Claims)
		want   error
	}{
		{"the same again", alice(), func(*Claims) {}, nil},
		{"fewer rights", alice(), func(c *Claims) { c.Grants.Speak = false }, nil},
		{"another name", alice(), func(c *Claims) { c.Name = "Al" }, nil},
		{"record added", alice(), func(c *Claims) { c.Grants.Record = true }, ErrWider},
		{"moderate added", alice(), func(c *Claims) { c.Grants.Moderate = true }, ErrWider},
		{"mint added", alice(), func(c *Claims) { c.Grants.Mint = true }, ErrWider},
		{"all rooms", alice(), func(c *Claims) { c.Room = AnyRoom }, ErrWider},
		{"another room", alice(), func(c *Claims) { c.Room = "cellar" }, ErrWider},
		{"another identity", alice(), func(c *Claims) { c.Identity = "bob" }, ErrIdentity},
		{"one room of all", Claims{Identity: "alice", Room: AnyRoom, Grants: all}, func(c *Claims) { c.Room = "hall" }, nil},
	} {
		newer := c.older
		c.change(&newer)
		if err := newer.Refreshes(c.older); !errors.Is(err, c.want) {
			t.Errorf("%s: Refreshes = %v, want %v", c.what, err, c.want)
		}
	}
}

// Row 46: 8 KB, nested deeply, keys twice.
func TestRow46Shape(t *testing.T) {
	k, now := testKeys(t), time.Now()
	refuses(t, k, "8 KB", forge(t, k, header(k), claimsJSON(t, now, map[string]any{"pad": strings.Repeat("x", 8<<10)})), now, ErrTooLong)
	deep := json.RawMessage(strings.Repeat("[", 8) + strings.Repeat("]", 8))
	token := forge(t, k, header(k), claimsJSON(t, now, map[string]any{"x": deep}))
	refuses(t, k, "9 levels", token, now, ErrMalformed)
	refuses(t, k, "9 levels", token, now, strict.ErrDepth)
	good := claimsJSON(t, now, nil)
	for _, twice := range []string{`"room":"*"`, `"ROOM":"*"`, `"sub":"bob"`, `"grants":{"moderate":true}`, `"x":{"a":1,"a":2}`} {
		token := forge(t, k, header(k), "{"+twice+","+good[1:])
		refuses(t, k, twice, token, now, ErrMalformed)
		refuses(t, k, twice, token, now, strict.ErrDuplicate)
	}
	kid := k.IDs()[0]
	refuses(t, k, "alg twice", forge(t, k, `{"alg":"none","alg":"EdDSA","typ":"JWT","kid":"`+kid+`"}`, good), now, strict.ErrDuplicate)
	for _, shape := range []string{"", ".", "..", "a.b", "a.b.c.d", "....", token + ".", " " + token, token + "=", "\x00", strings.Repeat(".", 4000)} {
		refuses(t, k, fmt.Sprintf("%.12q", shape), shape, now, ErrMalformed)
	}
	for what, over := range map[string]map[string]any{
		"no sub": {"sub": nil}, "no jti": {"jti": nil}, "no room": {"room": nil}, "long sub": {"sub": strings.Repeat("x", 129)},
		"room name": {"room": "$JS.API"},
	} {
		refuses(t, k, what, forge(t, k, header(k), claimsJSON(t, now, over)), now, ErrClaims)
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "edge.key")
	kid, err := WriteKeyPair(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	both, err := LoadKeys(path, path+".pub")
	if err != nil || !both.CanMint() || !slices.Equal(both.IDs(), []string{kid}) {
		t.Fatalf("LoadKeys = %v, %v", both, err)
	}
	public, err := LoadKeys(path + ".pub")
	if err != nil || public.CanMint() {
		t.Fatalf("LoadKeys(.pub) = %v, %v", public, err)
	}
	token, err := both.Mint(alice(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := public.Verify(token, time.Now()); err != nil {
		t.Errorf("the public key does not verify: %v", err)
	}

	before, _ := os.ReadFile(path)
	if _, err := WriteKeyPair(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwriting = %v, want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the key was overwritten")
	}
	lonely := filepath.Join(dir, "lonely")
	if err := os.WriteFile(lonely+".pub", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteKeyPair(lonely); !errors.Is(err, fs.ErrExist) {
		t.Errorf("overwriting .pub = %v, want fs.ErrExist", err)
	}
	if _, err := os.Stat(lonely); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a private key without its public one was left")
	}
}

func TestLoadKeysReportsEveryFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, kind string, der []byte, tail string) string {
		path := filepath.Join(dir, name)
		body := string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})) + tail
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	der := func(private crypto.PrivateKey) []byte {
		b, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, _ := GenerateKey()
	two, _ := GenerateKey()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	first := write("one", privateBlock, der(one), "")
	bad := []string{
		write("two", privateBlock, der(two), ""), write("rsa", privateBlock, der(other), ""),
		write("kind", "CERTIFICATE", der(one), ""), write("broken", privateBlock, []byte("xx"), ""),
		write("tail", privateBlock, der(one), "x"), write("long", privateBlock, der(one), strings.Repeat("\n", maxKeyFile)),
		filepath.Join(dir, "missing"),
	}
	_, err = LoadKeys(append([]string{first}, bad...)...)
	if !errors.Is(err, ErrKeyFile) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("LoadKeys = %v", err)
	}
	for _, path := range bad {
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%s is not reported: %v", filepath.Base(path), err)
		}
	}
	if _, err := LoadKeys(); !errors.Is(err, ErrKeyFile) {
		t.Errorf("LoadKeys() = %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	k, now := testKeys(f), time.Unix(1_800_000_000, 0)
	f.Add(forge(f, k, header(k), claimsJSON(f, now, nil)))
	f.Add(forge(f, k, header(k), `{"a":1,"a":2}`))
	f.Add(forge(f, k, `{"alg":"none"}`, `{}`))
	f.Add("a.b.c")
	good := forge(f, k, header(k), claimsJSON(f, now, nil))
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := k.Verify(token, now)
		switch {
		case err != nil && !errors.Is(err, ErrToken):
			t.Fatalf("a refusal that is not ErrToken: %v", err)
		case err == nil && token != good:
			t.Fatalf("accepted a token that was never made: %+v", claims)
		}
	})
}

// FuzzVerifySigned signs whatever claims come, so the checks behind the signature are reached.
func FuzzVerifySigned(f *testing.F) {
	k, now := testKeys(f), time.Unix(1_800_000_000, 0)
	f.Add(claimsJSON(f, now, nil))
	f.Add(claimsJSON(f, now, map[string]any{"aud": []string{"airloom"}, "nbf": 1.5, "room": "*"}))
	f.Fuzz(func(t *testing.T, body string) {
		claims, err := k.Verify(forge(t, k, header(k), body), now)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Fatalf("a refusal that is not ErrToken: %v", err)
			}
			return
		}
		if claims.validate() != nil || claims.Expires.Sub(claims.Issued) > MaxLife || !now.Before(claims.Expires.Add(Skew)) {
			t.Fatalf("accepted %+v", claims)
		}
	})
}
