package e2e

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"airloom/internal/auth"
	"airloom/internal/bus"
	"airloom/internal/subject"
)

// Each service with its own NATS user, and streams that only the admin can make.
func TestEachServiceWithItsOwnUser(t *testing.T) {
	t.Parallel()
	nats := startNATS(t, natsConf{users: true})[0]
	f := newFabric(t, nats.url())
	f.users = true

	f.cli("edge", "--nats", f.nats, "--key", f.key, "--listen", "127.0.0.1:0", "--nats-user", "edge", "--nats-password", "wrong").
		fails("refuses this user", "check user and password")
	f.cli("edge", "--nats", f.nats, "--key", f.key, "--listen", "127.0.0.1:0", "--nats-user", "edge", "--nats-password", password(bus.Edge), "--nats-wait", "1s").
		fails("airloom log init", "admin")
	f.initLog()
	f.initLog() // twice is as good as once

	f.presence()
	f.recorder()
	one, two := f.edge(), f.edge()
	listener := listen(t, two.url, "hall", "ear")
	said := publish(t, one.url, "hall", "--for", "4s", speechOpus)
	var got heard
	listener.end(t, 20*time.Second, &got)
	got.same(t, said)
	recordedWhole(t, two.url, said)

	t.Run("permissions", func(t *testing.T) { testPermissions(t, nats.url()) })
}

func (f *fabric) initLog(args ...string) {
	f.t.Helper()
	f.cli(append([]string{"log", "init", "--nats", f.nats, "--nats-user", "admin", "--nats-password", password(bus.Admin)}, args...)...).ok()
}

// Row 86 of the bad inputs, and what a service's password must not open when it is stolen.
func testPermissions(t *testing.T, url string) {
	complaints := make(chan error, 64)
	edge := raw(t, url, bus.Edge, complaints)
	refused := func(t *testing.T, what string, try func() error) {
		t.Helper()
		for len(complaints) > 0 {
			<-complaints
		}
		if err := try(); err == nil {
			t.Errorf("%s: it worked", what)
		}
		if err := edge.FlushTimeout(2 * time.Second); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-complaints:
			if !errors.Is(err, nats.ErrPermissionViolation) {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(2 * time.Second):
			t.Errorf("%s: the server did not object", what)
		}
	}
	// A denied publish is silent to its caller, so each tries with a request that nobody can have answered.
	request := func(on string) func() error {
		return func() error { _, err := edge.Request(on, nil, 30*time.Millisecond); return err }
	}
	for _, stream := range []string{subject.LogStream("local"), subject.EventStream("local")} {
		for _, verb := range []string{"DELETE", "PURGE", "UPDATE", "CREATE", "MSG.DELETE", "LEADER.STEPDOWN", "SNAPSHOT"} {
			refused(t, verb+" "+stream, request("$JS.API.STREAM."+verb+"."+stream))
		}
	}
	for _, on := range []string{ // only the event stream says what it has committed, and only a service answers
		"live.local.1.hall.ev.session.x", "_INBOX_presence.x", "_INBOX.x", "$SYS.REQ.SERVER.PING",
	} {
		refused(t, "publish on "+on, request(on))
	}
	for _, role := range []bus.Role{bus.Presence, bus.Recorder, bus.Admin, ""} {
		inbox := role.InboxPrefix() + ".>"
		refused(t, "subscribe to "+inbox, func() error { return subscribeFails(edge, inbox) })
	}
	for _, on := range []string{">", "log.>", "svc.>", "hb.>", "$JS.>", "$SYS.>"} {
		refused(t, "subscribe to "+on, func() error { return subscribeFails(edge, on) })
	}

	forged := func(role bus.Role, on string) { // a denied publish looks like a timeout
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := js(t, raw(t, url, role, complaints)).Publish(ctx, on, []byte("{}"), jetstream.WithRetryAttempts(0)); err == nil {
			t.Errorf("the user of %s can publish on %s", role, on)
		}
	}
	on := "$JS.API.DIRECT.GET." + subject.LogStream("local") // kept sound is for those who record it and those who play it
	if answer, err := raw(t, url, bus.Presence, nil).Request(on, []byte(`{"seq":1}`), 300*time.Millisecond); err == nil {
		t.Errorf("presence reads the audio log: %.100s", answer.Data)
	}
	forged(bus.Recorder, subject.Log("local", "hall", "aaaaaai"))
	forged(bus.Recorder, subject.Event("local", "hall", "session", "x"))
	forged(bus.Presence, subject.Event("local", "hall", "room", "settings"))
	forged(bus.Presence, subject.Log("local", "hall", "aaaaaai"))

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	admin := js(t, raw(t, url, bus.Admin, nil))
	stream, err := admin.Stream(ctx, subject.EventStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(ctx); err == nil {
		t.Error("even the admin must not purge events by mistake")
	}
	if err := stream.DeleteMsg(ctx, 1); err == nil {
		t.Error("even the admin must not delete an event by mistake")
	}
}

// subscribeFails gives a made-up error, so that only the server's complaint tells a refusal.
func subscribeFails(c *nats.Conn, on string) error {
	sub, err := c.SubscribeSync(on)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	_, err = sub.NextMsg(30 * time.Millisecond)
	return err
}

// logged counts the packs of a room in the audio log.
func logged(t *testing.T, url string, role bus.Role, name string) (n uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	stream, err := js(t, raw(t, url, role, nil)).Stream(ctx, subject.LogStream("local"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject.LogCapture("local")))
	if err != nil {
		t.Fatal(err)
	}
	for on, count := range info.State.Subjects {
		if subject.Parse(on).Room == name {
			n += count
		}
	}
	return n
}

func holds(t *testing.T, path, text string) bool {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(body, []byte(text)) || strings.Contains(path, text)
}

// An edge that holds the public key only lets in whoever has a token, and each only to what it says.
func TestTokens(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	e := f.start("edge", f.nats, "--listen", "127.0.0.1:0", "--key", f.key+".pub", "--drain", "1s")
	token := func(args ...string) string {
		return strings.TrimSpace(f.cli(append([]string{"token", "--key", f.key, "--room", "hall"}, args...)...).ok().out)
	}
	f.cli("key", f.key).fails("exist", "Nothing was overwritten")
	f.cli("token", "--key", f.key+".pub", "--room", "hall", "--identity", "eve", "--speak").fails("private key")
	f.cli("token", "--key", f.key, "--room", "hall", "--identity", "eve").fails("without rights")
	f.cli("token", "--key", f.key, "--room", "hall", "--identity", "eve", "--speak", "--ttl", "48h").fails("24h")

	publish := []string{"publish", "--url", e.url, "--room", "hall", "--for", "1s", "--rate", "max"}
	f.cli(append(publish, speechOpus)...).fails("token", "airloom token")
	speaks := token("--identity", "ada", "--speak")
	f.cli(append(publish, "--token", speaks, speechOpus)...).ok()
	run(t, []string{"AIRLOOM_TOKEN=" + speaks}, append(publish, speechOpus)...).ok()

	listens := token("--identity", "bob", "--listen")
	f.cli(append(publish, "--token", listens, speechOpus)...).fails("may not speak", "--speak")
	f.cli("listen", "--url", e.url, "--room", "hall", "--for", "1s", "--token", listens).ok()
	f.cli("listen", "--url", e.url, "--room", "hall", "--for", "1s", "--token", speaks).fails("forbidden", "--listen")
	f.cli("listen", "--url", e.url, "--room", "other", "--for", "1s", "--token", listens).fails("another room", "hall")
	f.cli("room", "--url", e.url, "--token", listens, "close", "hall").fails("403")

	// A stranger's key, a token cut short, one that has ended.
	f.cli("key", f.key+"2").ok()
	foreign := mint(t, f.key+"2", auth.Claims{Identity: "eve", Room: "hall", Grants: auth.AllGrants()}, time.Minute)
	for _, bad := range []string{foreign, speaks[:len(speaks)-4], "nonsense", ended(t, f.key)} {
		f.cli(append(publish, "--token", bad, speechOpus)...).fails("unauthorized", "airloom token")
	}
}

// ended makes a token that was good until two minutes ago.
func ended(t *testing.T, keyFile string) string {
	t.Helper()
	keys, err := auth.LoadKeys(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": auth.Issuer, "aud": []string{auth.DefaultCluster}, "sub": "old", "jti": "1", "room": "hall",
		"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-2 * time.Minute).Unix(), "grants": auth.AllGrants(),
	})
	token.Header["kid"] = keys.IDs()[0]
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(signed, time.Now()); !errors.Is(err, auth.ErrExpired) {
		t.Fatalf("the token made for this test is refused for another reason: %v", err)
	}
	return signed
}
