package room

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// append takes a draft as the log would.
func (s *State) append(t *testing.T, d Draft, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s.Apply(&Event{Room: s.Room, At: clock, Fact: d.Fact, Position: s.Position + 1})
}

// A room that is open for years keeps what it needs, not what it has seen.
func TestTracksThatAreOverAreForgotten(t *testing.T) {
	s := NewState("hall", Settings{Keep: KeepNone, Speak: SpeakGranted})
	d, err := s.Join(Joined{Session: "s", Identity: "ann", Grants: Grants{Speak: true}})
	s.append(t, d, err)
	for i := range 3 * maxOver {
		id := fmt.Sprintf("t%d", i)
		d, err := s.StartTrack(TrackStarted{Track: id, Session: "s"})
		s.append(t, d, err)
		if i == 0 {
			continue // one that goes on all the time
		}
		d, err = s.EndTrack(TrackEnded{Track: id})
		s.append(t, d, err)
		d, err = s.CloseTrack(id, 1)
		s.append(t, d, err)
	}
	if len(s.Tracks) != maxOver+1 || len(s.last) > 2*len(s.Tracks)+2 || len(s.Sessions["s"].tracks) != 1 || s.OpenTracks() != 1 {
		t.Errorf("%d tracks, %d subjects, %d of the session, %d open", len(s.Tracks), len(s.last), len(s.Sessions["s"].tracks), s.OpenTracks())
	}
	if _, err := s.DeclareGap(GapDeclared{Track: "t1"}); err != ErrUnknownTrack {
		t.Errorf("a gap of a forgotten track: %v", err)
	}
	if d, err := s.StartTrack(TrackStarted{Track: "t1", Session: "s"}); err != nil || d.Expect != 0 {
		t.Errorf("an id that was used: %+v %v; the log must refuse it", d, err)
	}
	s.append(t, Draft{Fact: GapDeclared{Track: "t1"}}, nil) // what comes late of it does not bring it back
	if s.LastOn("gap", "t1") != 0 || s.Tracks["t1"] != nil {
		t.Error("a forgotten track is back")
	}
	d, err = s.Leave("s", Bye)
	s.append(t, d, err)
	if s.Rest(); len(s.Tracks)+len(s.last)+len(s.over) != 0 || !s.Untouched() {
		t.Errorf("an empty room keeps %d tracks, %d subjects", len(s.Tracks), len(s.last))
	}
}

// What is forgotten makes no difference to what a state says: one that forgets nothing, one that forgets the oldest, and one
// that rests after each event answer alike.
func TestForgettingChangesNoAnswer(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		defaults := Settings{Capacity: 3, Keep: KeepRewind, Speak: SpeakGranted}
		all, some, least := NewState("hall", defaults), NewState("hall", defaults), NewState("hall", defaults)
		all.KeepOver = true
		at := clock
		for position := range uint64(400) {
			at = at.Add(time.Duration(random.IntN(200)) * time.Second)
			e := &Event{Room: "hall", At: at, Fact: someFact(random, position), Position: position + 1}
			for _, s := range []*State{all, some, least} {
				s.Apply(e)
			}
			least.Rest()
			for _, s := range []*State{some, least} {
				if !reflect.DeepEqual(answers(all), answers(s)) {
					t.Fatalf("seed %d after %d events, the last one %+v:\n%+v\n%+v", seed, position+1, e.Fact, answers(all), answers(s))
				}
			}
		}
	}
}

func answers(s *State) []any {
	var positions []uint64
	var admissions []error
	for _, p := range s.Roster() {
		positions = append(positions, s.LastOn("session", p.Session))
		for _, track := range p.Tracks {
			positions = append(positions, s.LastOn("track", track.Track), s.LastOn("gap", track.Track))
		}
	}
	for i := s.Position - min(s.Position, 30); i < s.Position; i++ {
		admissions = append(admissions, s.Admission(fmt.Sprintf("s%d", i)))
	}
	return []any{s.Position, s.Info(), s.Roster(), s.OpenTracks(), s.Occupied(), positions, admissions, s.LastOn("room", "settings")}
}

// someFact gives facts as a log would take them: sessions and tracks have ids that are new; all else may be about any of them.
func someFact(random *rand.Rand, n uint64) Fact {
	session, track := fmt.Sprintf("s%d", n-min(n, random.Uint64N(30))), fmt.Sprintf("t%d", n-min(n, random.Uint64N(30)))
	switch random.IntN(12) {
	case 0, 1, 2:
		return Joined{Session: fmt.Sprintf("s%d", n), Identity: fmt.Sprintf("id%d", random.IntN(5)), Edge: "e", Grants: Grants{Speak: true}}
	case 3, 4, 5:
		return TrackStarted{Track: fmt.Sprintf("t%d", n), Session: session}
	case 6:
		return TrackEnded{Track: track, Last: 7}
	case 7:
		return Left{Session: session, Reason: []Reason{Bye, Kicked}[random.IntN(2)]}
	case 8:
		return GapDeclared{Track: track, To: 3}
	case 9:
		return TrackMuted{Track: track}
	case 10:
		return TrackClosed{Track: track}
	default:
		return []Fact{Changed{Settings: Settings{Keep: KeepNone, Capacity: 2}}, Closed{}, Opened{Settings: Settings{Keep: KeepRecord}}, RecordingStarted{Recording: "r"}, Granted{Session: session, Grants: Grants{Listen: true}, By: ByToken}}[random.IntN(5)]
	}
}
