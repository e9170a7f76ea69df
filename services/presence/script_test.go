package presence

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"airloom/internal/query"
	"airloom/internal/room"
)

var defaults = room.Settings{Keep: room.KeepRewind, Speak: room.SpeakGranted}

// Each testdata/*.txt is a story: a line is a command, the "> " lines below it are what it must answer. With
// UPDATE_SCRIPTS=1 the answers are written anew, to be read before they are committed.
//
//	at 3.5s                    time goes on to this point, half a second at a time, with a proof of hearing at each step
//	deaf 9s                    the same without any proof of hearing
//	hear e1 ...                a heartbeat of these edges
//	beat e1 until 10s          time goes on and these edges are heard at each step
//	join hall s1 alice e1      an event is folded (join, move, away, left, track, close, open, capacity)
//	speak hall t1 1            a change of speaking is heard
//	due                        which events are due now; "due apply" folds them too
//	rooms | roster hall        the answers
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { play(t, path) })
	}
}

func play(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	var out strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, ">") {
			continue
		}
		out.WriteString(line)
		command, _, _ := strings.Cut(line, "#")
		if words := strings.Fields(command); len(words) > 0 {
			for _, answer := range s.do(words[0], words[1:]) {
				out.WriteString("> " + answer + "\n")
			}
		}
	}
	if out.String() == string(text) {
		return
	}
	if os.Getenv("UPDATE_SCRIPTS") != "" {
		if err := os.WriteFile(path, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Errorf("%s plays otherwise than it stands:\n%s", path, out.String())
}

// stage is a watch with a clock that the script moves.
type stage struct {
	t        *testing.T
	watch    *watch
	zero     time.Time
	now      time.Time
	position uint64
}

func newStage(t *testing.T) *stage {
	zero := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	return &stage{t: t, watch: newWatch(Config{Instance: "p1"}.withDefaults(), defaults), zero: zero, now: zero}
}

func (s *stage) do(command string, args []string) []string {
	switch command {
	case "at":
		s.goOn(s.time(args[0]), func() { s.watch.Listening(s.now) })
	case "deaf":
		s.goOn(s.time(args[0]), func() {})
	case "beat":
		s.goOn(s.time(args[len(args)-1]), func() {
			s.watch.Listening(s.now)
			s.hear(args[:len(args)-2])
		})
	case "hear":
		s.hear(args)
	case "speak":
		s.watch.Speaks(args[0], args[1], args[2] == "1", s.now)
	case "due":
		return s.due(len(args) > 0)
	case "rooms":
		return s.rooms()
	case "roster":
		return s.roster(args[0])
	default:
		s.fold(args[0], s.fact(command, args))
	}
	return nil
}

func (s *stage) time(word string) time.Time {
	d, err := time.ParseDuration(word)
	if err != nil || s.zero.Add(d).Before(s.now) {
		s.t.Fatalf("time %q: %v, or it lies behind", word, err)
	}
	return s.zero.Add(d)
}

func (s *stage) goOn(until time.Time, each func()) {
	for s.now.Before(until) {
		s.now = s.now.Add(min(500*time.Millisecond, until.Sub(s.now)))
		each()
	}
}

func (s *stage) hear(edges []string) {
	for _, name := range edges {
		s.watch.Heard(name, s.now)
	}
}

func (s *stage) fact(command string, a []string) room.Fact {
	switch command {
	case "join":
		return room.Joined{Session: a[1], Identity: a[2], Name: a[2], Edge: a[3], Grants: room.Grants{Listen: true, Speak: true}}
	case "move":
		return room.Moved{Session: a[1], Edge: a[2]}
	case "away":
		return room.Away{Session: a[1], Edge: a[2], Reason: room.SocketLost}
	case "left":
		return room.Left{Session: a[1], Reason: room.Bye}
	case "track":
		return room.TrackStarted{Track: a[2], Handle: uint32(s.position + 1), Session: a[1], Name: "mic", Channels: 1, FrameMS: 20}
	case "close":
		return room.Closed{Reason: "over"}
	case "open":
		return room.Opened{Settings: defaults}
	case "capacity":
		n, _ := strconv.Atoi(a[1])
		return room.Created{Settings: room.Settings{Keep: room.KeepRewind, Capacity: n, Speak: room.SpeakGranted}}
	}
	s.t.Fatalf("unknown command %q", command)
	return nil
}

func (s *stage) fold(roomName string, fact room.Fact) {
	s.position++
	// The event's own clock is an hour off and must not matter (rows 79 and 92 of the catalogue of bad inputs).
	at := s.now.Add(time.Hour)
	s.watch.Apply(&room.Event{Room: roomName, At: at, By: "e", Fact: fact, Position: s.position}, s.now)
}

func (s *stage) due(apply bool) (lines []string) {
	due := s.watch.Due(s.now)
	slices.SortStableFunc(due, func(a, b task) int { // the order within a kind is the instance's own
		return strings.Compare(a.draft.Fact.Type()+a.room+a.session, b.draft.Fact.Type()+b.room+b.session)
	})
	for _, task := range due {
		switch f := task.draft.Fact.(type) {
		case room.Away:
			lines = append(lines, fmt.Sprintf("away %s %s from %s %s, expecting %d", task.room, f.Session, f.Edge, f.Reason, task.draft.Expect))
		case room.Left:
			lines = append(lines, fmt.Sprintf("left %s %s %s, expecting %d", task.room, f.Session, f.Reason, task.draft.Expect))
		}
		if apply {
			s.fold(task.room, task.draft.Fact)
		}
	}
	if lines == nil {
		lines = []string{"nothing"}
	}
	return lines
}

func (s *stage) rooms() (lines []string) {
	for _, r := range s.watch.Rooms(query.RoomsQuestion{}).Rooms {
		lines = append(lines, fmt.Sprintf("%s present=%d away=%d tracks=%d closed=%v", r.Room, r.Present, r.Away, r.Tracks, r.Closed))
	}
	return lines
}

func (s *stage) roster(name string) (lines []string) {
	answer := s.watch.Roster(query.RosterQuestion{Room: name}, s.now)
	lines = append(lines, fmt.Sprintf("position %d, %d in all, %d tracks", answer.Position, answer.Total, answer.Tracks))
	for _, list := range [][]query.Participant{answer.Participants, answer.Away} {
		for _, p := range list {
			line := fmt.Sprintf("%s %s away=%v", p.Session, p.Identity, p.Away)
			for _, track := range p.Tracks {
				line += fmt.Sprintf(" %s speaking=%v", track.Track, track.Speaking)
			}
			lines = append(lines, line)
		}
	}
	return lines
}
