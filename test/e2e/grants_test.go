package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"airloom/internal/auth"
	"airloom/internal/participant"
	"airloom/internal/room"
)

// speakerToken is that of somebody who may hear and speak.
func (f *fabric) speakerToken(identity string) string {
	f.t.Helper()
	return mint(f.t, f.key, auth.Claims{Identity: identity, Room: "hall", Grants: auth.Grants{Grants: room.Grants{Listen: true, Speak: true}}}, time.Hour)
}

// soon is far more than the second within which a change of rights holds everywhere: beside whole clusters on two cores a process may get
// no turn for that long. What it took is logged.
const soon = 10 * time.Second

// silenced waits until the mouth may not speak any more.
func (m *mouth) silenced() {
	m.t.Helper()
	began := time.Now()
	eventually(m.t, soon, "it may not speak any more", func() bool {
		return errors.Is(m.track.Send(m.t.Context(), m.frame(999_999), true), participant.ErrMayNotSpeak)
	})
	m.t.Logf("silent %v after the command had come back", time.Since(began))
}

// ended waits until the mouth's session is over and holds the reason against a code.
func (m *mouth) ended(code string) {
	m.t.Helper()
	select {
	case <-m.joined.Done():
	case <-time.After(soon):
		m.t.Fatalf("its session goes on; it should have ended with %s", code)
	}
	if !participant.IsCode(m.joined.Err(), code) {
		m.t.Errorf("ended with %v, not %s", m.joined.Err(), code)
	}
}

// again starts another track of the same session.
func (m *mouth) again() error {
	ctx, cancel := context.WithTimeout(m.t.Context(), 5*time.Second)
	defer cancel()
	track, err := m.joined.StartTrack(ctx, participant.TrackConfig{Name: "main", Channels: 1, FrameMS: 20})
	if err == nil {
		m.track = track
	}
	return err
}

// A moderator at one edge takes the right to speak from somebody at another: soon it is silent, its track is whole up
// to there, and it can be given back.
func TestGrantsOverTwoEdges(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	f.recorder()
	one, two := f.edge(), f.edge()
	grant := func(args ...string) *result {
		t.Helper()
		return f.cli(append([]string{"room", "--url", two.url, "grant", "hall"}, args...)...)
	}
	ada := newMouth(t, one.url, "hall", f.speakerToken("ada"))
	h := newHearer(t, two.url, "hall")
	ada.say(0, 49)
	ada.acked(49)
	if out := grant("ada", "--no-speak").ok().out; out != "ada in room hall: may listen; may not speak, record, moderate\n" {
		t.Errorf("it says %q", out)
	}
	ada.silenced()
	_, track := closedTrack(t, two.url, "hall", ada.track.Track())
	if track.Frames < 50 || track.Missing() != 0 || track.Frames > int64(len(h.frames(ada))) {
		t.Errorf("recorded %d frames, %d missing; heard %d", track.Frames, track.Missing(), len(h.frames(ada)))
	}
	if err := ada.again(); !participant.IsCode(err, "forbidden") {
		t.Errorf("another track: %v", err)
	}
	grant("ada", "--speak", "--moderate").ok()
	eventually(t, soon, "it may speak again", func() bool { return ada.joined.Session().Grants.Speak })
	if err := ada.again(); err != nil {
		t.Errorf("another track: %v", err)
	}
	f.cli("room", "--url", one.url, "--token", f.speakerToken("ada"), "grant", "hall", "ada", "--no-moderate").ok() // she may, in this room
	f.cli("room", "--url", one.url, "--token", f.speakerToken("ada"), "grant", "hall", "ada", "--moderate").fails("403", "moderate")
	grant("nobody", "--speak").fails("404", "in the room")
	grant("ada").fails("--no-speak")

	var got []string
	for _, e := range events(t, one.url, "", "hall") {
		if e.Type == "session.granted" {
			var fact room.Granted
			if err := json.Unmarshal(e.Data, &fact); err != nil {
				t.Fatal(err)
			}
			got = append(got, mayDo(fact.Grants))
		}
	}
	if want := "l ls-m ls"; strings.Join(got, " ") != want {
		t.Errorf("the log says %q, want %q", strings.Join(got, " "), want)
	}

	publisher := play(t, nil, "publish", "--url", one.url, "--room", "hall", "--token", f.speakerToken("bob"), speechOpus)
	awaitSound(t, two.url, "hall", time.Second)
	grant("bob", "--no-speak").ok()
	code := publisher.wait(t, 20*time.Second)
	kick := func(args ...string) *result {
		return f.cli(append([]string{"room", "--url", two.url, "kick", "hall"}, args...)...)
	}
	if out := kick("ada").ok().out; out != "ada is out of room hall, for 10 minutes\n" {
		t.Errorf("it says %q", out)
	}
	ada.ended("kicked")
	kick("ada").fails("not in room hall", "room show")
	(&result{t: t, args: publisher.args, code: code, out: publisher.out.String(), errs: publisher.errs.String()}).fails("right to speak")
}

// mayDo writes rights with a letter for each.
func mayDo(g room.Grants) (word string) {
	for _, one := range []struct {
		letter string
		has    bool
	}{{"l", g.Listen}, {"s", g.Speak}, {"-r", g.Record}, {"-m", g.Moderate}} {
		if one.has {
			word += one.letter
		}
	}
	return word
}

// Every setting, from the command line, while people are in the room at two edges.
func TestSettingsWhilePeopleAreThere(t *testing.T) {
	t.Parallel()
	f := newFabric(t, startNATS(t, natsConf{})[0].url())
	f.presence()
	one, two := f.edge(), f.edge()
	set := func(args ...string) *result {
		t.Helper()
		return f.cli(append([]string{"room", "--url", two.url, "create", "hall"}, args...)...).ok()
	}
	try := func(url, identity string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		joined, err := participant.Join(ctx, participant.Config{URL: url, Room: "hall", Token: f.speakerToken(identity)})
		if err == nil {
			t.Cleanup(joined.Close)
		}
		return err
	}
	set("--capacity", "5", "--keep", "rewind")
	ada, bob := newMouth(t, one.url, "hall", f.speakerToken("ada")), newMouth(t, two.url, "hall", f.speakerToken("bob"))
	mod := newMouth(t, one.url, "hall", f.token("mod"))
	everybody := []*mouth{ada, bob, mod}

	set("--capacity", "1")
	for _, m := range everybody {
		eventually(t, soon, "all are told", func() bool { return m.joined.Session().Room.Capacity == 1 })
		m.say(0, 9) // nobody is thrown out
	}
	for _, url := range []string{one.url, two.url} {
		if err := try(url, "eve"); !participant.IsCode(err, "room_full") {
			t.Errorf("eve at %s: %v", url, err)
		}
	}
	if err := try(two.url, "bob"); err != nil { // a reload
		t.Errorf("bob comes again: %v", err)
	}

	set("--speak", "moderators")
	ada.silenced()
	if err := ada.again(); !participant.IsCode(err, "forbidden") {
		t.Errorf("another track: %v", err)
	}
	mod.say(10, 19)
	mod.acked(19)
	set("--speak", "granted")
	eventually(t, soon, "ada may speak", func() bool { return ada.joined.Session().MaySpeak() })
	if err := ada.again(); err != nil {
		t.Errorf("another track: %v", err)
	}

	f.cli("room", "--url", one.url, "close", "hall").ok()
	for _, m := range []*mouth{ada, mod} {
		m.ended("room_closed")
	}
	if err := try(two.url, "ada"); !participant.IsCode(err, "room_closed") {
		t.Errorf("joining a closed room: %v", err)
	}
	put, err := http.NewRequest(http.MethodPut, two.url+"/v1/rooms/hall/settings", strings.NewReader(`{"capacity":9}`))
	if err != nil {
		t.Fatal(err)
	}
	put.Header.Set("Authorization", "Bearer "+f.token("mod"))
	put.Header.Set("Content-Type", "application/json")
	if _, err := answer(put); err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "airloom room create") {
		t.Errorf("settings of a closed room: %v", err)
	}
	if err := try(two.url, "ada"); !participant.IsCode(err, "room_closed") {
		t.Errorf("settings opened the room: %v", err)
	}
	if out := set("--capacity", "9").out; out != "room hall was closed and is open again: keep rewind, capacity 9, speak granted\n" {
		t.Errorf("it says %q", out)
	}
	if err := try(one.url, "ada"); err != nil {
		t.Errorf("joining an open room: %v", err)
	}
}
