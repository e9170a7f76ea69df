package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// ran is what a run of the program left behind.
type ran struct {
	code      int
	out, errs string
}

// airloom runs the program in this process.
func airloom(t *testing.T, args ...string) ran {
	t.Helper()
	return airloomIn(t, t.Context(), args...)
}

func airloomIn(t *testing.T, ctx context.Context, args ...string) ran {
	t.Helper()
	var out, errs bytes.Buffer
	p := &program{ctx: ctx, in: strings.NewReader(""), out: &out, errs: &errs}
	code := p.run(args)
	return ran{code, out.String(), errs.String()}
}

func opusFile(t *testing.T, seconds string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tone.opus")
	cmd := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=frequency=300:duration="+seconds, "-c:a", "libopus", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
}

func textFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notes.txt")
	if err := os.WriteFile(path, []byte("no sound in here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Bad input gets a clear error: what happened, what to do, and the exit code of its kind.
func TestBadInput(t *testing.T) {
	opus, text := opusFile(t, "0.2"), textFile(t)
	nobody := "http://" + closedPort(t)
	denies := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"title":"Forbidden","detail":"tokens only on loopback","status":403}`))
	}))
	defer denies.Close()
	dir := t.TempDir()
	key := filepath.Join(dir, "k.pem")
	if r := airloom(t, "key", key); r.code != exitOK {
		t.Fatal(r.errs)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"no such command":       {[]string{"frobnicate"}, exitUsage, []string{"frobnicate", "--help"}},
		"no such flag":          {[]string{"publish", "--frob", "x"}, exitUsage, []string{"--frob"}},
		"no room":               {[]string{"publish", opus}, exitUsage, []string{"--room"}},
		"row 76 dots and stars": {[]string{"publish", "--room", "a.*", opus}, exitUsage, []string{"a.*", "a–z"}},
		"row 76 listen":         {[]string{"listen", "--room", "a>b"}, exitUsage, []string{"a>b"}},
		"row 76 show":           {[]string{"room", "show", "$JS.API"}, exitUsage, []string{"$JS.API"}},
		"no such file":          {[]string{"publish", "--room", "r", "nosuchfile.wav"}, exitFailed, []string{"nosuchfile.wav"}},
		"row 90 not audio":      {[]string{"publish", "--room", "r", text}, exitFailed, []string{"no sound", "ffmpeg says", "Ogg Opus"}},
		"no ffmpeg":             {[]string{"publish", "--room", "r", "--ffmpeg", "/nonexistent", text}, exitFailed, []string{"ffmpeg", "apt install"}},
		"nothing on stdin":      {[]string{"publish", "--room", "r", "-"}, exitFailed, []string{"empty"}},
		"nobody there":          {[]string{"publish", "--room", "r", "--url", nobody, opus}, exitFailed, []string{"refused", "airloom up"}},
		"nobody to list":        {[]string{"room", "list", "--url", nobody}, exitFailed, []string{"refused", "airloom up"}},
		"denied":                {[]string{"listen", "--room", "r", "--url", denies.URL}, exitFailed, []string{"tokens only on loopback", "--token"}},
		"not a URL":             {[]string{"listen", "--room", "r", "--url", "ftp://x"}, exitFailed, []string{"http"}},
		"row 52 from noon":      {[]string{"listen", "--room", "r", "--from", "noon"}, exitUsage, []string{"--from noon", "start"}},
		"row 52 from ahead":     {[]string{"listen", "--room", "r", "--from", "30s"}, exitUsage, []string{"--from 30s", "-30s"}},
		"row 52 too fast":       {[]string{"listen", "--room", "r", "--from", "start", "--rate", "17"}, exitUsage, []string{"--rate 17", "16"}},
		"loop of stdin":         {[]string{"publish", "--room", "r", "--loop", "-"}, exitUsage, []string{"--loop"}},
		"negative time":         {[]string{"publish", "--room", "r", "--for", "-5s", opus}, exitUsage, []string{"--for"}},
		"time of no form":       {[]string{"room", "show", "r", "--at", "noon"}, exitUsage, []string{"noon"}},
		"key is there":          {[]string{"key", key}, exitFailed, []string{"exists", "another name"}},
		"token without rights":  {[]string{"token", "--key", key, "--room", "r", "--identity", "i"}, exitUsage, []string{"--speak"}},
		"token for no room":     {[]string{"token", "--key", key, "--room", "a.b", "--identity", "i", "--speak"}, exitUsage, []string{"a.b"}},
		"token by public key":   {[]string{"token", "--key", key + ".pub", "--room", "r", "--identity", "i", "--speak"}, exitFailed, []string{"private key"}},
		"token by no key":       {[]string{"token", "--key", text, "--room", "r", "--identity", "i", "--speak"}, exitFailed, []string{"PEM", "airloom key"}},
		"token for too long":    {[]string{"token", "--key", key, "--room", "r", "--identity", "i", "--speak", "--ttl", "48h"}, exitUsage, []string{"24h"}},
		"row 76 region":         {[]string{"log", "users", "--region", "a.>"}, exitUsage, []string{"a.>"}},
		"no NATS":               {[]string{"doctor", "--listen", "127.0.0.1:0", "--data", dir, "--nats", "nats://" + closedPort(t)}, exitFailed, []string{"required"}},
		"no folder to write in": {[]string{"listen", "--room", "r", "-o", text}, exitFailed, []string{"-o takes"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := airloom(t, c.args...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			for _, words := range append(c.says, "airloom: ") {
				if !strings.Contains(r.errs, words) {
					t.Errorf("%q does not say %q", r.errs, words)
				}
			}
		})
	}
}

func TestKeyAndToken(t *testing.T) {
	key := filepath.Join(t.TempDir(), "k.pem")
	if r := airloom(t, "key", key); r.code != exitOK {
		t.Fatal(r.errs)
	}
	info, err := os.Stat(key)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key has mode %v, %v", info.Mode(), err)
	}
	r := airloom(t, "token", "--key", key, "--room", "hall", "--identity", "ada", "--speak", "--json")
	var got struct {
		Token, Room, Identity string
		Grants                map[string]bool
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err, r.errs)
	}
	if got.Room != "hall" || got.Identity != "ada" || !got.Grants["speak"] || got.Grants["listen"] || strings.Count(got.Token, ".") != 2 {
		t.Errorf("got %+v", got)
	}
}

// Every subcommand has a help that fits it.
func TestHelp(t *testing.T) {
	for _, command := range []string{"", "publish", "listen", "room list", "room show", "room create", "room attendance", "key", "token", "doctor", "bench e2e", "log users", "up", "edge"} {
		r := airloom(t, append(strings.Fields(command), "--help")...)
		if r.code != exitOK || !strings.Contains(r.out, "Usage: airloom") || r.errs != "" {
			t.Errorf("%q: exit code %d, %q", command, r.code, r.errs)
		}
	}
	if r := airloom(t, "--version"); r.code != exitOK || !strings.HasPrefix(r.out, "airloom ") {
		t.Errorf("--version: %d %q", r.code, r.out)
	}
}

// A flag wins over its AIRLOOM_ variable.
func TestEnvironment(t *testing.T) {
	t.Setenv("AIRLOOM_ROOM", "a.b")
	if r := airloom(t, "publish", textFile(t)); r.code != exitUsage || !strings.Contains(r.errs, "a.b") {
		t.Errorf("AIRLOOM_ROOM is not looked at: %d %q", r.code, r.errs)
	}
	if r := airloom(t, "publish", "--room", "r", textFile(t)); r.code != exitFailed || strings.Contains(r.errs, "a.b") {
		t.Errorf("--room does not win: %d %q", r.code, r.errs)
	}
}

func TestCellsOfATable(t *testing.T) {
	for word, want := range map[string]string{
		"guest-x": "guest-x", "Ada Lovelace": "Ada Lovelace", "Ängström 🎤": "Ängström 🎤",
		"": `""`, " ada": `" ada"`, "a  b": `"a  b"`, "mic, music": `"mic, music"`, "a\tb": `"a\tb"`, `"ada"`: `"\"ada\""`, "a\u202eb": `"a\u202eb"`,
	} {
		if got := cell(word); got != want {
			t.Errorf("%q is shown as %s, want %s", word, got, want)
		}
	}
}

func TestUsersOfARegion(t *testing.T) {
	r := airloom(t, "log", "users", "--region", "eu")
	if r.code != exitOK || !strings.Contains(r.out, "$JS.API.DIRECT.GET.EV_eu") || !strings.Contains(r.out, "$RECORDER_PASSWORD") || strings.Contains(r.out, "_local") {
		t.Errorf("%d %s %s", r.code, r.out, r.errs)
	}
}
