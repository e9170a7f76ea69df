package room

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A scenario is a text file: one line is a wish, and the words after "->" are what came of it: "ok", or an error's name.
// "roster", "open" and "settings" lines say what the fold shows then. See testdata/*.scenario.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".scenario"), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := NewState("hall", Settings{Keep: KeepRewind, Speak: SpeakGranted})
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if strings.TrimSpace(line) == "" {
			continue
		}
		wish, want, ok := strings.Cut(line, "->")
		if !ok {
			t.Fatalf("%s:%d: no ->", file, n)
		}
		if got := do(t, s, strings.Fields(wish)); got != strings.TrimSpace(want) {
			t.Errorf("%s:%d: %s -> %s, want %s", file, n, strings.TrimSpace(wish), got, strings.TrimSpace(want))
		}
	}
}

var names = map[error]string{
	ErrClosed: "closed", ErrFull: "full", ErrKicked: "kicked", ErrUnknownSession: "unknown-session", ErrUnknownTrack: "unknown-track",
	ErrTooManyTracks: "too-many", ErrForbidden: "forbidden", ErrNothingToDo: "nothing", ErrStopping: "stopping", errNotHalted: "not-halted",
}

// do carries out one line. A wish begins with "race" where it was decided before the line before it was known: then it
// is appended whatever the state says, as an edge that lost a race over another subject would.
func do(t *testing.T, s *State, w []string) string {
	race := w[0] == "race"
	if race {
		w = w[1:]
	}
	arg := func(i int) string {
		if i < len(w) {
			return w[i]
		}
		return ""
	}
	number := func(i int) int { n, _ := strconv.Atoi(arg(i)); return n }
	all := Grants{Listen: true, Speak: true, Record: true, Moderate: true}
	var d Draft
	var err error
	switch w[0] {
	case "join": // join SESSION IDENTITY [listener]
		joined := Joined{Session: w[1], Identity: w[2], Edge: "e1", ResumeHash: "hash-" + w[1], Grants: all}
		if arg(3) == "listener" {
			joined.Grants = Grants{Listen: true}
		}
		d, err = s.Join(joined)
		if race {
			d, err = Draft{Fact: joined}, nil
		}
	case "admission":
		err = s.Admission(w[1])
	case "move":
		d, err = s.Move(w[1], w[2])
	case "lose":
		d, err = s.Lose(w[1], w[2], EdgeLost)
	case "leave":
		d, err = s.Leave(w[1], Bye)
	case "kick":
		d, err = s.Kick(w[1])
		if race {
			d, err = s.Leave(w[1], Kicked)
		}
	case "wait": // wait SECONDS of the writers' clocks
		clock = clock.Add(time.Duration(number(1)) * time.Second)
	case "start": // start TRACK SESSION
		d, err = s.StartTrack(TrackStarted{Track: w[1], Session: w[2], Name: "mic", Channels: 1, FrameMS: 20})
		if race {
			d, err = Draft{Fact: TrackStarted{Track: w[1], Session: w[2]}}, nil
		}
	case "mute", "unmute":
		d, err = s.Mute(w[1], w[0] == "mute")
	case "end":
		d, err = s.EndTrack(TrackEnded{Track: w[1], Last: int64(number(2))})
	case "gap":
		d, err = s.DeclareGap(GapDeclared{Track: w[1], From: uint32(number(2)), To: uint32(number(3)), Reason: Rejected})
	case "closetrack":
		d, err = s.CloseTrack(w[1], uint64(number(2)))
	case "grant": // grant SESSION RIGHTS
		d, err = s.Grant(w[1], rights(arg(2)), "mod")
	case "token": // token SESSION RIGHTS
		d, err = s.Narrow(w[1], rights(arg(2)))
	case "rights": // rights SESSION [RIGHTS-OF-ITS-TOKEN]
		token := all
		if arg(2) != "" {
			token = rights(arg(2))
		}
		g, ok := s.Rights(w[1], token)
		if !ok {
			return "none"
		}
		return letters(g)
	case "set", "open-again": // set KEEP CAPACITY [SPEAK]
		settings := Settings{Keep: Keep(w[1]), Capacity: number(2), Speak: SpeakGranted}
		if arg(3) != "" {
			settings.Speak = arg(3)
		}
		if d, err = s.Set(settings); w[0] == "open-again" {
			d, err = s.Open(settings, 0)
		}
	case "close":
		d, err = s.Close("over")
	case "record": // record on ID [FROM] | record halt | record off [THROUGH] | record end
		switch w[1] {
		case "on":
			d, err = s.StartRecording(RecordingStarted{Recording: cmp.Or(arg(2), "r1"), By: "ann", From: uint64(number(3))})
		case "halt":
			d, err = s.HaltRecording(cmp.Or(arg(2), s.Recording))
		case "end":
			if d, err = s.EndRecording(s.Recording); race {
				d, err = Draft{Fact: RecordingStopped{Recording: s.Recording, Idle: true}}, nil
			}
		default:
			d, err = s.StopRecording(s.Recording, uint64(number(2)))
		}
	case "roster":
		return roster(s)
	case "resumable":
		if found := s.Resumable("hash-" + w[1]); found != nil {
			return found.Session
		}
		return "none"
	case "open":
		return strconv.Itoa(s.OpenTracks())
	case "settings":
		i := s.Info()
		return fmt.Sprintf("%s %d closed=%v recording=%s", i.Keep, i.Capacity, i.Closed, i.Recording)
	default:
		t.Fatalf("unknown wish %q", w[0])
	}
	if err != nil {
		for e, name := range names {
			if errors.Is(err, e) {
				return name
			}
		}
		return err.Error()
	}
	if d.Fact == nil {
		return "ok"
	}
	return appendTo(s, d, race)
}

// rights reads a letter for each right: l, s, r, m; - for none.
func rights(letters string) Grants {
	has := func(letter string) bool { return strings.Contains(letters, letter) }
	return Grants{Listen: has("l"), Speak: has("s"), Record: has("r"), Moderate: has("m")}
}

func letters(g Grants) string {
	word := ""
	for _, one := range []struct {
		letter string
		has    bool
	}{{"l", g.Listen}, {"s", g.Speak}, {"r", g.Record}, {"m", g.Moderate}} {
		if one.has {
			word += one.letter
		}
	}
	if word == "" {
		return "-"
	}
	return word
}

// clock is that of the events' writers.
var clock = time.Unix(1_800_000_000, 0)

// appendTo is the log: it takes a draft only where its subject still is.
func appendTo(s *State, d Draft, race bool) string {
	kind, id := d.Fact.Subject()
	if s.LastOn(kind, id) != d.Expect && !race {
		return "conflict"
	}
	e := Event{Room: s.Room, At: clock, Fact: d.Fact, Position: s.Position + 1}
	s.Apply(&e)
	position := s.Position
	s.Apply(&e) // a second time changes nothing
	if s.Position != position {
		return "applied twice"
	}
	return "ok"
}

func roster(s *State) string {
	var parts []string
	for _, p := range s.Roster() {
		word := p.Session
		if p.Away {
			word += "(away)"
		}
		for _, track := range p.Tracks {
			word += "+" + track.Track
			if track.Muted {
				word += "(muted)"
			}
		}
		parts = append(parts, word)
	}
	if len(parts) != s.Occupied() {
		return fmt.Sprintf("roster of %d, but %d seats taken", len(parts), s.Occupied())
	}
	if len(parts) == 0 {
		return "empty"
	}
	return strings.Join(parts, " ")
}
