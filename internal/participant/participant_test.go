package participant

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

func TestPublishUntilAllIsAcked(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 99)
	edge := newSink()
	s.collect(edge, 99)
	if edge.live.Count() != 100 {
		t.Errorf("%d of 100 frames went live", edge.live.Count())
	}
	ended := make(chan error, 1)
	go func() { ended <- speaker.End(t.Context()) }()
	end := s.request("track.end")
	if end["last"] != 99.0 || end["epoch"] != 0.0 || end["track"] != trackName {
		t.Errorf("track.end is %v", end)
	}
	s.ack(50)
	s.say(object{"type": "ok", "re": end["id"]})
	select {
	case err := <-ended:
		t.Fatalf("End came back before all was acked: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	s.ack(99)
	if err := wait(t, ended, "the end"); err != nil {
		t.Error(err)
	}
	if got := speaker.Stats(); got.Kept != 100 || got.Resent != 0 || got.Acked != 99 {
		t.Errorf("stats are %+v", got)
	}
}

// A socket breaks: the session is resumed, what was not acked goes out again as backlog, after the new frames.
func TestResumeSendsAgainWhatWasNotAcked(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 49)
	s.collect(newSink(), 49)
	s.ack(9)
	eventually(t, "the ack", func() bool { return speaker.Stats().Acked == 9 })
	s.ws.Close()
	again := e.accept()
	sendFrames(t, speaker, 50, 59)
	if again.hello["resume"] != "secret" {
		t.Errorf("hello without the resume secret: %v", again.hello)
	}
	track := again.hello["tracks"].([]any)[0].(object)
	if track["track"] != trackName || track["acked"] != 9.0 {
		t.Errorf("hello says of the track %v", track)
	}
	again.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": 19}}})
	edge := newSink()
	edge.have.Add(0, 19)
	first := wait(t, again.audio, "a packet")
	edge.take(t, first)
	if edge.live.Count() == 0 {
		t.Error("backlog went before new frames")
	}
	again.collect(edge, 59)
	if edge.live.Count() != 10 || edge.live.Contains(49) || !edge.live.Contains(50) {
		t.Errorf("%d frames went live after the resume, want the 10 new ones", edge.live.Count())
	}
	again.ack(59)
	eventually(t, "the ack", func() bool { return speaker.Stats().Kept == 60 })
	if got := speaker.Stats().Resent; got != 30 {
		t.Errorf("%d resent, want 30", got)
	}
}

func TestResendAndLogAway(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	speaker := speak(t, p, s, TrackConfig{})
	s.say(object{"type": "log", "state": "away"})
	eventually(t, "log away", func() bool { return speaker.Stats().LogAway })
	sendFrames(t, speaker, 0, 29)
	s.collect(newSink(), 29) // live goes on
	s.say(object{"type": "resend", "track": trackName, "epoch": 0, "from": 10})
	select {
	case <-s.audio:
		t.Error("backlog was sent while the log is away")
	case <-time.After(50 * time.Millisecond):
	}
	s.say(object{"type": "log", "state": "ok"})
	edge := newSink()
	edge.have.Add(0, 9)
	s.collect(edge, 29)
	if edge.live.Count() != 0 || len(edge.frames) != 20 {
		t.Errorf("%d live and %d frames came, want 20 as backlog", edge.live.Count(), len(edge.frames))
	}
}

// What the speaker no longer has when it is asked for is declared as a gap.
func TestResendDeclaresWhatIsGone(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	speaker := speak(t, p, s, TrackConfig{Keep: 10})
	sendFrames(t, speaker, 0, 9)
	s.collect(newSink(), 9)
	sendFrames(t, speaker, 10, 24)
	s.say(object{"type": "resend", "track": trackName, "epoch": 0, "from": 0})
	gap := s.request("gap")
	if gap["from"] != 0.0 || gap["to"] != 14.0 {
		t.Errorf("gap is %v, want 0 to 14", gap)
	}
}

func TestSessionLost(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	speaker := speak(t, p, s, TrackConfig{})
	s.ws.Close()
	e.accept().welcome(object{"session": "another"})
	eventually(t, "the speaker to fail", func() bool {
		return errors.Is(speaker.Send(t.Context(), opusFrame(0), false), ErrSessionLost)
	})
	if p.Err() != nil {
		t.Errorf("the participant is out: %v", p.Err())
	}
}

// An unanswered track.start is repeated on the next socket, unless the welcome shows that it was carried out.
func TestRequestIsRepeatedAfterResume(t *testing.T) {
	for name, tracks := range map[string][]any{
		"not done": {}, "done": {object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": -1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newFakeEdge(t)
			p, s := joinFake(t, e, Config{})
			started := make(chan error, 1)
			go func() {
				_, err := p.StartTrack(t.Context(), TrackConfig{Name: "mic", Channels: 1, FrameMS: 10})
				started <- err
			}()
			first := s.request("track.start")
			s.ws.Close()
			again := e.accept()
			again.welcome(object{"resumed": true, "tracks": tracks})
			if len(tracks) == 0 {
				second := again.request("track.start")
				if second["id"] != first["id"] {
					t.Errorf("repeated with id %v, was %v", second["id"], first["id"])
				}
				again.say(object{"type": "track", "re": second["id"], "track": trackName, "handle": handle, "epoch": 0})
			}
			if err := wait(t, started, "the track"); err != nil {
				t.Error(err)
			}
		})
	}
}

// A track that has ended is open again on the next edge, because the edge that said ok died before the log had the end. It is ended once more, and it is
// not what a start that is still without an answer began: two tracks in one would be two sounds under one number.
func TestEndIsSaidAgainAndNotTakenForAStart(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	s.collect(newSink(), 9)
	s.ack(9)
	ended := make(chan error, 1)
	go func() { ended <- speaker.End(t.Context()) }()
	end := s.request("track.end")
	s.say(object{"type": "ok", "re": end["id"]})
	if err := wait(t, ended, "the end"); err != nil {
		t.Fatal(err)
	}
	started := make(chan *Speaker, 1)
	go func() {
		next, _ := p.StartTrack(t.Context(), TrackConfig{Name: "mic", Channels: 1, FrameMS: 10})
		started <- next
	}()
	s.request("track.start")
	s.ws.Close()
	again := e.accept()
	again.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": -1}}})
	if once := again.request("track.end"); once["track"] != trackName || once["last"] != 9.0 || once["id"] == end["id"] {
		t.Errorf("the end is said again as %v", once)
	}
	start := again.request("track.start")
	again.say(object{"type": "track", "re": start["id"], "track": frame.TrackID(handle + 1), "handle": handle + 1, "epoch": 0})
	if next := wait(t, started, "the next track"); next == nil || next.Track() == trackName {
		t.Error("the next track is the one that has ended")
	}
}

// A move: the second socket is there before the first one closes, and nothing is lost or sent twice live.
func TestMove(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	edge := newSink()
	s.collect(edge, 9)
	s.say(object{"type": "move", "within_ms": 1000})
	next := e.accept()
	select {
	case <-s.gone:
		t.Fatal("the first socket was closed before the second was welcome")
	default:
	}
	sendFrames(t, speaker, 10, 19)
	s.collect(edge, 19)
	next.welcome(object{"resumed": true, "tracks": []any{object{"track": trackName, "handle": handle, "name": "mic", "epoch": 0, "acked": 19}}})
	wait(t, s.gone, "the close of the first socket")
	sendFrames(t, speaker, 20, 29)
	next.collect(edge, 29)
	if edge.live.Count() != 30 {
		t.Errorf("%d of 30 frames went live", edge.live.Count())
	}
}

// Where the old edge closes with 1000 before the new one's welcome is read, the move goes on.
func TestMoveSurvivesAnEarlyClose(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{})
	s.say(object{"type": "move", "within_ms": 1000})
	next := e.accept()
	s.close(1000)
	wait(t, s.gone, "the close")
	next.welcome(object{"resumed": true, "edge": "edge-2"})
	eventually(t, "the move", func() bool { return p.Session().Edge == "edge-2" })
	if p.Err() != nil {
		t.Error(p.Err())
	}
}

func TestWhatEndsAParticipantAndWhatDoesNot(t *testing.T) {
	for _, c := range []struct {
		close int
		code  string
		final bool
	}{
		{4401, "unauthorized", true}, {4403, "kicked", true}, {4409, "replaced", true}, {4410, "room_closed", true}, {1008, "rate", true},
		{1001, "", false}, {1012, "restart", false}, {1013, "log_away", false}, {3008, "slow", false},
	} {
		t.Run(c.code, func(t *testing.T) {
			e := newFakeEdge(t)
			p, s := joinFake(t, e, Config{Listen: true})
			if c.code != "" {
				s.say(object{"type": "error", "code": c.code, "message": "words", "fatal": true})
			}
			s.close(c.close)
			if !c.final {
				again := e.accept()
				again.welcome(object{"resumed": true})
				return
			}
			wait(t, p.Done(), "the end")
			if !IsCode(p.Err(), c.code) {
				t.Errorf("ended with %v, want %s", p.Err(), c.code)
			}
		})
	}
}

// Row 31 from the other end: an edge that is silent, though its socket stands, is given up.
func TestRow31SilentEdge(t *testing.T) {
	e := newFakeEdge(t) // answers no ping
	lost := make(chan error, 10)
	cfg := Config{pingEvery: 10 * time.Millisecond, deadAfter: 50 * time.Millisecond, Notice: func(n Notice) {
		if n.Kind == Lost {
			lost <- n.Err
		}
	}}
	joinFake(t, e, cfg)
	if err := wait(t, lost, "the end of patience"); !errors.Is(err, errSilent) {
		t.Errorf("lost by %v", err)
	}
	if again := e.accept(); again.hello["resume"] != "secret" {
		t.Errorf("came back with %v", again.hello)
	}
}

func TestListen(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{Listen: true})
	s.say(rosterOf(&room.Clock{UnixMicro: time.Now().UnixMicro()}))
	for n := range 50 {
		s.send(packet(t, handle, 0, n, opusFrame(n)))
		if n%10 == 0 {
			s.send(packet(t, handle, 0, n, opusFrame(n)))
		}
	}
	var h *Incoming
	eventually(t, "all frames", func() (all bool) {
		p.Received(func(r *Receiver) {
			if len(r.Tracks()) == 1 {
				h = r.Tracks()[0]
				all = h.Frames == 50
			}
		})
		return all
	})
	p.Received(func(*Receiver) {
		if h.Duplicates != 5 || h.Missing() != 0 || h.Latency.Count() != 50 || h.Identity != "bob" || !h.Whole {
			t.Errorf("doubled %d missing %d latencies %d identity %q", h.Duplicates, h.Missing(), h.Latency.Count(), h.Identity)
		}
	})
	s.say(object{"type": "roster", "full": false, "participants": []any{}, "gone": []any{"other"}})
	eventually(t, "the end of the track", func() (ended bool) {
		p.Received(func(*Receiver) { ended = h.Ended })
		return ended
	})
}

func TestTokenIsRefreshed(t *testing.T) {
	_, s := joinFake(t, newFakeEdge(t), Config{})
	s.say(object{"type": "token", "expires_unix": 1})
	if got := s.request("refresh"); got["token"] != "token-2" {
		t.Errorf("refreshed with %v, want the second token", got["token"])
	}
}

func TestRoomThatKeepsNothingNeedsNoAcks(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	s.say(object{"type": "room", "room": object{"room": "hall", "keep": "none"}})
	speaker := speak(t, p, s, TrackConfig{})
	sendFrames(t, speaker, 0, 9)
	ended := make(chan error, 1)
	go func() { ended <- speaker.End(t.Context()) }()
	s.say(object{"type": "ok", "re": s.request("track.end")["id"]})
	if err := wait(t, ended, "the end"); err != nil {
		t.Error(err)
	}
}

// Row 60 from the speaking side: what is not Opus never leaves.
func TestRow60SpeakerRefusesWhatIsNotOpus(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	speaker := speak(t, p, s, TrackConfig{})
	for _, bad := range [][]byte{make([]byte, 1276), {3, 0}, {3, 0x7f, 1}, append([]byte{9 << 3}, "20 ms"...)} {
		if err := speaker.Send(t.Context(), bad, false); !errors.Is(err, frame.ErrOpus) {
			t.Errorf("a frame of %d bytes: %v, want ErrOpus", len(bad), err)
		}
	}
}

// Row 76: a room name that is none never reaches an edge.
func TestRow76RoomName(t *testing.T) {
	for _, name := range []string{"", "a.b", "a*", "a>b", "a b", "$JS.API", strings.Repeat("a", 300), "a\r\nb"} {
		if _, err := Join(t.Context(), Config{URL: "http://127.0.0.1:1", Room: name}); err == nil || !strings.Contains(err.Error(), "room name") {
			t.Errorf("%q: %v, want a refusal of the name", name, err)
		}
	}
}

func TestJoinSaysWhatIsWrong(t *testing.T) {
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"title":"No token","detail":"give one","status":401,"code":"unauthorized"}`))
	}))
	defer refuses.Close()
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, c := range map[string]struct {
		cfg  Config
		want func(error) bool
		text string
	}{
		"nobody there":  {Config{URL: "http://127.0.0.1:1", Room: "hall"}, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }, "get a token"},
		"nobody, token": {Config{URL: "http://127.0.0.1:1", Room: "hall", Token: "t"}, func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }, "open a socket"},
		"denied":        {Config{URL: refuses.URL, Room: "hall"}, func(err error) bool { var p *Problem; return errors.As(err, &p) && p.Status == 401 }, "No token: give one"},
		"not an edge":   {Config{URL: other.URL, Room: "hall", Token: "t"}, func(err error) bool { var p *Problem; return errors.As(err, &p) && p.Status == 404 }, "404"},
		"not a URL":     {Config{URL: "127.0.0.1:8080", Room: "hall"}, func(err error) bool { return err != nil }, "address of an edge"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Join(t.Context(), c.cfg)
			if err == nil || !c.want(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v, want %q in it", err, c.text)
			}
		})
	}
}

func TestJoinRefusedByTheEdge(t *testing.T) {
	e := newFakeEdge(t)
	refused := make(chan error, 1)
	go func() {
		_, err := Join(t.Context(), Config{URL: e.server.URL, Room: "hall", Token: "t"})
		refused <- err
	}()
	s := e.accept()
	s.say(object{"type": "error", "re": s.hello["id"], "code": "room_full", "message": "no seat", "fatal": true})
	s.close(4423)
	err := wait(t, refused, "the refusal")
	var said *Error
	if !errors.As(err, &said) || said.Code != "room_full" || said.Close != 4423 || said.Message != "no seat" {
		t.Errorf("got %v", err)
	}
}

func TestGivesUpWithoutAnEdge(t *testing.T) {
	e := newFakeEdge(t)
	p, s := joinFake(t, e, Config{Patience: time.Millisecond})
	e.server.Listener.Close()
	s.ws.Close()
	wait(t, p.Done(), "the end")
	if !errors.Is(p.Err(), syscall.ECONNREFUSED) {
		t.Errorf("ended with %v", p.Err())
	}
}

func TestLeave(t *testing.T) {
	p, s := joinFake(t, newFakeEdge(t), Config{})
	left := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		left <- p.Leave(ctx)
	}()
	s.say(object{"type": "ok", "re": s.request("leave")["id"]})
	s.close(1000)
	if err := wait(t, left, "the leave"); err != nil {
		t.Error(err)
	}
	if !errors.Is(p.Err(), ErrLeft) {
		t.Errorf("Err is %v", p.Err())
	}
}
