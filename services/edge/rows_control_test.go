package edge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"airloom/internal/room"
)

func TestRow48And49BadMessages(t *testing.T) {
	d := newHouse(t).edge(nil)
	start := `{"type":"track.start","id":9,"name":"mic","channels":%s,"frame_ms":%s,"epoch":%s}`
	for name, c := range map[string]struct{ text, code string }{
		"48 not JSON":               {`{"type":"ping",`, "bad_message"},
		"48 two values":             {`{"type":"ping","id":9,"t":1}{}`, "bad_message"},
		"48 an array":               {`[1,2]`, "bad_message"},
		"48 null":                   {`null`, "bad_message"},
		"48 nothing":                {``, "bad_message"},
		"48 too deep":               {`{"type":"ping","id":9,"t":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`, "bad_message"},
		"48 a key twice":            {`{"type":"ping","id":9,"t":1,"t":2}`, "bad_message"},
		"48 a key in two cases":     {`{"type":"ping","id":9,"t":1,"T":2}`, "bad_message"},
		"48 unknown type":           {`{"type":"sudo","id":9}`, "bad_message"},
		"48 no type":                {`{"id":9}`, "bad_message"},
		"48 no id":                  {`{"type":"ping","t":1}`, "bad_message"},
		"48 unknown field":          {`{"type":"ping","id":9,"t":1,"admin":true}`, "bad_message"},
		"48 wrong type of a field":  {`{"type":"listen","id":9,"on":"yes"}`, "bad_message"},
		"49 NaN":                    {`{"type":"ping","id":9,"t":NaN}`, "bad_message"},
		"49 1e999":                  {`{"type":"ping","id":9,"t":1e999}`, "bad_message"},
		"49 a string for a number":  {`{"type":"ping","id":9,"t":"1"}`, "bad_message"},
		"49 id 0":                   {`{"type":"ping","id":0,"t":1}`, "bad_message"},
		"49 id -1":                  {`{"type":"ping","id":-1,"t":1}`, "bad_message"},
		"49 id 2⁵³":                 {`{"type":"ping","id":9007199254740992,"t":1}`, "bad_message"},
		"49 id 2⁶⁴":                 {`{"type":"ping","id":18446744073709551616,"t":1}`, "bad_message"},
		"49 id 1.5":                 {`{"type":"ping","id":1.5,"t":1}`, "bad_message"},
		"49 channels -1":            {fmt.Sprintf(start, "-1", "20", "0"), "bad_track"},
		"49 channels 2⁵³+1":         {fmt.Sprintf(start, "9007199254740993", "20", "0"), "bad_track"},
		"49 channels 1.5":           {fmt.Sprintf(start, "1.5", "20", "0"), "bad_message"},
		"49 frame_ms 7":             {fmt.Sprintf(start, "1", "7", "0"), "bad_track"},
		"49 frame_ms 1e999":         {fmt.Sprintf(start, "1", "1e999", "0"), "bad_message"},
		"49 epoch 256":              {fmt.Sprintf(start, "1", "20", "256"), "bad_message"},
		"49 epoch -1":               {fmt.Sprintf(start, "1", "20", "-1"), "bad_message"},
		"49 last -2":                {`{"type":"track.end","id":9,"track":"aaaaaaa","epoch":0,"last":-2}`, "unknown_track"},
		"49 gap to 2³²":             {`{"type":"gap","id":9,"track":"aaaaaaa","epoch":0,"from":0,"to":4294967296}`, "bad_message"},
		"unknown track":             {`{"type":"track.mute","id":9,"track":"$JS.API.>","muted":true}`, "unknown_track"},
		"a track name that is none": {`{"type":"track.start","id":9,"name":"a\u0000b","channels":1,"frame_ms":20,"epoch":0}`, "bad_track"},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := d.join("hall", "peer-"+name[:2]+fmt.Sprint(len(c.text), hashOf(name)[:8]), nil)
			p.t = t
			p.sendText(c.text)
			m := p.findType("error")
			if m.Code != c.code || m.Fatal || !utf8.ValidString(m.Message) {
				t.Errorf("answered with %+v", *m)
			}
			var head struct {
				Type string `json:"type"`
				ID   int64  `json:"id"`
			}
			if json.Unmarshal([]byte(c.text), &head) == nil && head.ID > 0 && head.ID < 1<<53 && head.Type != "" && !strings.Contains(name, "key") && !strings.Contains(name, "deep") && m.Re != head.ID {
				t.Errorf("the answer to request %d is for %d", head.ID, m.Re)
			}
			p.stays()
		})
	}
}

func TestThreeStrikes(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, _ := d.join("hall", "a", nil)
	p.sendText("no")
	p.sendText("no")
	p.stays()
	p.sendText("no")
	p.endsWith(1008)
	if n := p.count(func(m *inMessage) bool { return m.Code == "bad_message" }); n != 3 {
		t.Errorf("%d of 3 strikes were told", n)
	}
}

func TestRow50CommandBeforeHelloAndHelloTwice(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	for _, kind := range []string{"ping", "track.start", "listen", "leave", "refresh", "sudo"} {
		p := d.dial()
		p.request(kind, fields{"token": h.token("a", nil)})
		p.endsWith(1008)
	}
	p := d.dial()
	p.sendAudio(audio(t, 1, 0, 0, 1, 0))
	p.endsWith(1008)
	p, _ = d.join("hall", "a", nil)
	p.request("hello", helloFields("hall", h.token("a", nil), nil))
	p.endsWith(1008)
	p = d.dial()
	p.sendText(`{"type":"hello","id":1,"protocol":1,"room":"hall","token":"x","admin":true}`)
	p.endsWith(1008)
}

func TestRow55DisplayNames(t *testing.T) {
	d := newHouse(t).edge(nil)
	for name, want := range map[string]string{
		strings.Repeat("x", 7000): strings.Repeat("x", 64),
		"a\u0000b\nc\u0085d":      "ab c d",
		"\u202eevil\u2066":        "evil",
		"a\u200bb\ufeff":          "ab",
		"<b>hi</b>":               "<b>hi</b>", // text: whoever shows it shows text
		"e\u0301":                 "é",
		"\u200b":                  "plain", // nothing is left: the identity stands in
		"👩‍👩‍👧‍👦 family":          "👩‍👩‍👧‍👦 family",
	} {
		p, w := d.join("hall", "plain", fields{"name": name})
		if w.Name != want {
			t.Errorf("%.40q is shown as %q, want %q", name, w.Name, want)
		}
		if got := w.Roster.Participants; len(got) != 1 || !strings.Contains(string(got[0]), string(must(json.Marshal(want)))) {
			t.Errorf("in the roster: %s", got)
		}
		p.must("ok", "leave", nil)
		p.endsWith(1000)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Row 56: joining and leaving all the time is bounded, and what others hear of it is gathered.
func TestRow56Flapping(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	d := h.edge(nil)
	watch, _ := d.join("hall", "watcher", nil)
	refused := 0
	for range 30 {
		p := d.dial()
		if m := p.ask("hello", helloFields("hall", h.token("flapper", nil), nil)); m.Type == "error" {
			if m.Code != "rate" {
				t.Fatalf("refused with %+v", *m)
			}
			p.endsWith(1008)
			refused++
			continue
		}
		p.must("ok", "leave", nil)
		p.endsWith(1000)
	}
	if refused < 15 {
		t.Errorf("%d of 30 joins within a moment were refused", refused)
	}
	watch.stays()
	if n := watch.count(func(m *inMessage) bool { return m.Type == "roster" }); n > 35 {
		t.Errorf("%d roster messages", n)
	}
}

func TestRow58SameRequestTwice(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, w := d.join("hall", "a", nil)
	start := fields{"name": "mic", "channels": 1, "frame_ms": 20, "epoch": 0}
	p.requestAs(77, "track.start", start)
	p.requestAs(77, "track.start", start)
	same := func(m *inMessage) bool { return m.Re == 77 && m.Type == "track" }
	until(t, "two answers", func() bool { return p.count(same) == 2 })
	p.requestAs(78, "track.start", fields{"name": "mic", "channels": 9, "frame_ms": 20, "epoch": 0})
	p.requestAs(78, "track.start", start) // the same id: the same answer, whatever it says now
	until(t, "two refusals", func() bool {
		return p.count(func(m *inMessage) bool { return m.Re == 78 && m.Code == "bad_track" }) == 2
	})

	// The answer outlives its socket.
	q, again := d.join("hall", "a", fields{"resume": w.Resume})
	if !again.Resumed {
		t.Fatal("not resumed")
	}
	q.requestAs(77, "track.start", start)
	got := q.find("the answer again", same)
	if first := p.find("", same); got.Track != first.Track || got.Handle != first.Handle {
		t.Errorf("track %s became %s", first.Track, got.Track)
	}
	if state := d.state("hall"); len(state.Tracks) != 1 {
		t.Errorf("%d tracks were started", len(state.Tracks))
	}
}

func TestRow59ProtocolVersion(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	for _, version := range []int{0, 2, 99, -1} {
		p := d.dial()
		m := p.refused("protocol_version", "hello", helloFields("hall", h.token("a", nil), fields{"protocol": version}))
		if len(m.Supported) != 1 || m.Supported[0] != 1 {
			t.Errorf("supported: %v", m.Supported)
		}
		p.endsWith(4426)
	}
}

func TestRow76RoomNames(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	before := h.nats.ClientURL() // the server goes on
	for _, name := range []string{
		"", ".", "a.b", "*", ">", "a b", "a\r\nb", "$JS.API.STREAM.DELETE.EV_local", strings.Repeat("x", 300), "..", "a\u0000", "ä", "-a", "_a", "A", "%2e",
	} {
		p := d.dial()
		p.refused("bad_room", "hello", helloFields(name, h.token("a", nil), nil))
		p.endsWith(4403)
	}
	if after := h.nats.ClientURL(); after != before {
		t.Error("the server is another one")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.hubs) != 0 {
		t.Errorf("%d rooms were opened", len(d.hubs))
	}
}

func TestRequestsAreLimited(t *testing.T) {
	d := newHouse(t).edge(nil)
	p, _ := d.join("hall", "a", nil)
	for range 30 {
		p.c.Write(masked(0x80|opText, []byte(fmt.Sprintf(`{"type":"ping","id":%d,"t":1}`, p.id.Add(1)))))
	}
	p.find("rate", func(m *inMessage) bool { return m.Code == "rate" && m.Fatal })
	p.endsWith(1008)
}

func TestClosedAndFullRooms(t *testing.T) {
	h := newHouse(t)
	d := h.edge(nil)
	d.set("small", room.Settings{Keep: room.KeepNone, Capacity: 1, Speak: room.SpeakGranted})
	d.join("small", "first", nil)
	p := d.dial()
	p.refused("room_full", "hello", helloFields("small", h.token("second", nil), nil))
	p.endsWith(4423)

	inside, _ := d.join("shut", "first", nil)
	d.decide("shut", func(s *room.State) (room.Draft, error) { return s.Close("over") })
	inside.endsWith(4410)
	p = d.dial()
	p.refused("room_closed", "hello", helloFields("shut", h.token("second", nil), nil))
	p.endsWith(4410)
	until(t, "all have left", func() bool { return len(d.state("shut").Sessions) == 0 })
}
