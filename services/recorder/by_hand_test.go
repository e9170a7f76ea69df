package recorder

import (
	"slices"
	"testing"
)

// A moderator stopped the recording, a track begins that starts another one, and before any recorder has started that the moderator does: the
// track is whole in it all the same, and the other one is held from there.
func TestWhoStartsByHandLosesNothingThatIsDue(t *testing.T) {
	r := newRegion(t)
	dir, second := t.TempDir(), t.TempDir()
	_, kill := r.recorder(quick(), openStore(t, dir))
	voice := speech(t, 60)
	one := r.speaker("hall")
	one.say(0, 0, voice[:20])
	r.recordedIn("hall", "")
	r.recordOff("hall")
	closed(t, dir, 1)
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	two := r.speaker("hall")
	two.say(0, 0, voice[:20])
	one.say(0, 20, voice[20:40])
	r.recordOn("hall", "by-hand", 0)
	two.say(0, 20, voice[20:40])
	one.say(0, 40, voice[40:])
	r.recordOff("hall")
	r.recorder(quick(), openStore(t, dir))
	r.recorder(quick(), openStore(t, second))
	for _, where := range []string{dir, second} {
		m := closed(t, where, 2)[1]
		if m.Recording != "by-hand" || len(m.Tracks) != 2 {
			t.Fatalf("%+v", m)
		}
		if whole := m.Tracks[1]; whole.Track != two.track || whole.Epochs[0].First != 0 || whole.SHA256 != digest(voice[:40]...) {
			t.Errorf("what was due: %+v", whole)
		}
		if other := m.Tracks[0]; other.Epochs[0].First != 40 || other.SHA256 != digest(voice[40:]...) {
			t.Errorf("the other one: %+v", other)
		}
	}
	if got, want := tree(t, dir), tree(t, second); !slices.Equal(got, want) {
		t.Errorf("two recorders differ: %v %v", got, want)
	}
}
