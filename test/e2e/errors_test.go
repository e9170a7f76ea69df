package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airloom/internal/bus"
)

// quickly is how soon a mistake must be told.
const quickly = 10 * time.Second

// tells expects that a subcommand fails soon, says what happened and what to do.
func tells(t *testing.T, env []string, words []string, args ...string) {
	t.Helper()
	r := run(t, env, args...)
	r.fails(words...)
	if r.took > quickly {
		t.Errorf("airloom %s: told after %v", strings.Join(args, " "), r.took)
	}
}

func TestUpSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	data := filepath.Join(dir, "data")
	up(t, data, "127.0.0.1:0")

	other := filepath.Join(dir, "other")
	for name, c := range map[string]struct{ args, words []string }{
		"port in use":          {[]string{"--data", other, "--listen", busy.Addr().String()}, []string{busy.Addr().String(), "in use", "--listen"}},
		"no such address":      {[]string{"--data", other, "--listen", "192.0.2.1:0"}, []string{"192.0.2.1", "--listen"}},
		"data below a file":    {[]string{"--data", filepath.Join(file, "data"), "--listen", "127.0.0.1:0"}, []string{file, "not a directory", "--data"}},
		"data is a file":       {[]string{"--data", file, "--listen", "127.0.0.1:0"}, []string{file, "--data"}},
		"data cannot be made":  {[]string{"--data", "/proc/airloom", "--listen", "127.0.0.1:0"}, []string{"/proc/airloom", "--data"}},
		"data in use":          {[]string{"--data", data, "--listen", "127.0.0.1:0"}, []string{data, "in use by another airloom", "--data"}},
		"no folder for blobs":  {[]string{"--data", other, "--listen", "127.0.0.1:0", "--blob", filepath.Join(file, "blobs")}, []string{"recordings", "--blob"}},
		"unknown flag":         {[]string{"--data", other, "--lisen", "127.0.0.1:0"}, []string{"--lisen", "--help"}},
		"a word for a setting": {[]string{"--data", other, "--keep", "forever"}, []string{"--keep", "none", "rewind", "record"}},
	} {
		t.Run(name, func(t *testing.T) { tells(t, nil, c.words, append([]string{"up"}, c.args...)...) })
	}
}

func TestServicesSayWhatIsWrongWithNATS(t *testing.T) {
	t.Parallel()
	plain := startNATS(t, natsConf{noJetStream: true})[0]
	users := startNATS(t, natsConf{users: true})[0]
	f := newFabric(t, "")
	nobody := freeAddr(t)
	for name, c := range map[string]struct{ args, words []string }{
		"nobody there":     {[]string{"--nats", "nats://" + nobody, "--nats-wait", "1s"}, []string{nobody, "nobody answers", "--nats"}},
		"no such host":     {[]string{"--nats", "nats://nats.invalid:4222", "--nats-wait", "1s"}, []string{"nats.invalid", "--nats"}},
		"not NATS":         {[]string{"--nats", notNATS(t), "--nats-wait", "1s"}, []string{"NATS"}},
		"no JetStream":     {[]string{"--nats", plain.url(), "--nats-wait", "1s"}, []string{"no JetStream", "-js"}},
		"no user":          {[]string{"--nats", users.url(), "--nats-wait", "1s"}, []string{"refuses this user", "password"}},
		"wrong password":   {[]string{"--nats", "nats://edge:secret-7@" + users.addr, "--nats-wait", "1s"}, []string{"refuses this user", "password"}},
		"may not make":     {[]string{"--nats", "nats://edge:" + password(bus.Edge) + "@" + users.addr, "--nats-wait", "1s"}, []string{"airloom log init", "admin"}},
		"no creds file":    {[]string{"--nats", plain.url(), "--nats-wait", "1s", "--nats-creds", "/nowhere/creds"}, []string{"/nowhere/creds"}},
		"a URL of nothing": {[]string{"--nats", "::", "--nats-wait", "1s"}, []string{"NATS"}},
	} {
		t.Run(name, func(t *testing.T) {
			services := [][]string{{"edge", "--listen", "127.0.0.1:0", "--key", f.key}, {"presence"}, {"recorder", "--blob", t.TempDir()}}
			if name == "may not make" {
				services = services[:1] // it is the edge's user
			}
			var all []*process
			for _, service := range services {
				all = append(all, start(t, "airloom "+service[0], nil, airloom, append(service, c.args...)...))
			}
			for i, p := range all {
				r := &result{t: t, args: append(services[i], c.args...), code: p.wait(t, quickly), out: p.out.String(), errs: p.errs.String()}
				r.fails(c.words...)
				if strings.Contains(r.errs, "secret-7") {
					t.Errorf("%s tells the password:\n%s", services[i][0], r.errs)
				}
			}
		})
	}
	tells(t, nil, []string{"--key", "airloom key"}, "edge", "--nats", users.url(), "--key", f.key+".missing")
	tells(t, nil, []string{"--dev-tokens", "private"}, "edge", "--nats", users.url(), "--key", f.key+".pub", "--listen", "127.0.0.1:0", "--dev-tokens")
}

// notNATS is an HTTP server.
func notNATS(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { _ = server.Serve(l); close(done) }()
	t.Cleanup(func() { server.Close(); <-done })
	return "nats://" + l.Addr().String()
}

func TestPublishAndListenSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, url := up(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, empty := write("notes.txt", "These are words, not sound.\n"), write("empty.wav", "")
	opus, err := os.ReadFile(speechOpus)
	if err != nil {
		t.Fatal(err)
	}
	cut := write("cut.opus", string(opus[:len(opus)/2]))
	nobody := "http://" + freeAddr(t)
	without := []string{"PATH=" + dir}
	for name, c := range map[string]struct {
		env, args, words []string
	}{
		"nobody at --url":     {nil, []string{"publish", "--url", nobody, "--room", "r", speechOpus}, []string{"refused", "airloom up"}},
		"nobody to listen to": {nil, []string{"listen", "--url", nobody, "--room", "r", "--for", "1s"}, []string{"refused", "airloom up"}},
		"not an address":      {nil, []string{"publish", "--url", "ftp://x", "--room", "r", speechOpus}, []string{"ftp://x", "http"}},
		"not an edge":         {nil, []string{"publish", "--url", strings.Replace(notNATS(t), "nats", "http", 1), "--room", "r", speechOpus}, []string{"404", "--url"}},
		"no ffmpeg":           {without, []string{"publish", "--url", url, "--room", "r", speechWAV}, []string{"ffmpeg", "nstall"}},
		"words, not sound":    {nil, []string{"publish", "--url", url, "--room", "r", text}, []string{"notes.txt", "sound"}},
		"nothing":             {nil, []string{"publish", "--url", url, "--room", "r", empty}, []string{"empty.wav"}},
		"no such file":        {nil, []string{"publish", "--url", url, "--room", "r", "/nowhere.opus"}, []string{"/nowhere.opus", "no such file"}},
		"a folder":            {nil, []string{"publish", "--url", url, "--room", "r", dir}, []string{dir, "director"}},
		"row 76 publish":      {nil, []string{"publish", "--url", url, "--room", "a.*.>", speechOpus}, []string{"a.*.>", "a–z"}},
		"row 76 listen":       {nil, []string{"listen", "--url", url, "--room", "$JS.API", "--for", "1s"}, []string{"$JS.API", "a–z"}},
		"row 76 create":       {nil, []string{"room", "--url", url, "create", "a b"}, []string{"a b", "a–z"}},
		"bad token":           {nil, []string{"publish", "--url", url, "--room", "r", "--token", "x.y.z", speechOpus}, []string{"unauthorized", "airloom token"}},
		"from nowhere":        {nil, []string{"listen", "--url", url, "--room", "r", "--from", "yesterday"}, []string{"--from", "-30s"}},
		"no room":             {nil, []string{"room", "--url", url, "show"}, []string{"room"}},
	} {
		t.Run(name, func(t *testing.T) { tells(t, c.env, c.words, c.args...) })
	}
	t.Run("cut short", func(t *testing.T) { // what was there is published all the same
		r := run(t, nil, "publish", "--url", url, "--room", "cut", "--rate", "max", "--json", cut)
		r.fails("cut.opus")
		var said published
		r.decode(&said)
		if said.Frames == 0 || said.Acked != said.Frames {
			t.Errorf("%d of %d frames acked", said.Acked, said.Frames)
		}
	})
}
