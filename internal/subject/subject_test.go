package subject

import (
	"errors"
	"strings"
	"testing"
)

// Row 76 of the catalogue of bad inputs.
func TestRoomRefusesWhatCouldLeaveItsSubject(t *testing.T) {
	bad := []string{"", ".", "a.b", "*", ">", "a*", "a b", "a\r\nPUB x", "$JS.API", "$js", "A", "é", "-a", "_a", "a\x00", strings.Repeat("a", 65), strings.Repeat("a", 300)}
	for _, name := range bad {
		if err := Room(name); !errors.Is(err, ErrName) {
			t.Errorf("Room(%q) = %v, want ErrName", name, err)
		}
	}
	for _, name := range []string{"a", "town-hall", "r_1", "2026", strings.Repeat("a", 64)} {
		if err := Room(name); err != nil {
			t.Errorf("Room(%q) = %v, want nil", name, err)
		}
	}
}

func TestParseUndoesBuild(t *testing.T) {
	for _, c := range []struct {
		subject string
		want    Parsed
	}{
		{Live("eu", "hall", "aaaaaab"), Parsed{Kind: Frames, Region: "eu", Room: "hall", Track: "aaaaaab"}},
		{Speaking("eu", "hall", "aaaaaab"), Parsed{Kind: Speaks, Region: "eu", Room: "hall", Track: "aaaaaab"}},
		{Log("eu", "hall", "aaaaaab"), Parsed{Kind: LogPacks, Region: "eu", Room: "hall", Track: "aaaaaab"}},
		{Event("eu", "hall", "session", "s1"), Parsed{Kind: Fact, Region: "eu", Room: "hall", Entity: "session", ID: "s1"}},
		{"live.eu.3.hall.ev.session.s1", Parsed{Kind: Fact, Region: "eu", Room: "hall", Entity: "session", ID: "s1"}},
		{Snapshot("eu", "hall"), Parsed{Kind: Snap, Region: "eu", Room: "hall"}},
		{SnapshotPart("eu", "hall", 12), Parsed{Kind: Snap, Region: "eu", Room: "hall", ID: "12"}},
		{SnapshotMark("eu"), Parsed{}},
		{"live.eu.3.hall", Parsed{}},
		{"live.eu", Parsed{}},
		{"", Parsed{}},
		{"live.eu.3.hall.xx.yy", Parsed{}},
		{"_INBOX.a.b.c.d", Parsed{}},
	} {
		if got := Parse(c.subject); got != c.want {
			t.Errorf("Parse(%q) = %+v, want %+v", c.subject, got, c.want)
		}
	}
}

func TestShardIsFixedForever(t *testing.T) {
	// A change here would move every room to another subject: the stored log would be lost to its readers.
	for room, want := range map[string]int{"a": 44, "hall": 50, "town-hall": 3} {
		if got := Shard(room); got != want {
			t.Errorf("Shard(%q) = %d, want %d", room, got, want)
		}
	}
}

func FuzzRoom(f *testing.F) {
	for _, s := range []string{"hall", "a.b", "*", ">", "$JS.API.STREAM", "a\r\nb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if Room(name) != nil {
			return
		}
		subject := Event("eu", name, "session", "s")
		if n := strings.Count(subject, "."); n != 5 {
			t.Fatalf("%q: %d dots", subject, n)
		}
		if strings.ContainsAny(subject, "*> \t\r\n$\x00") {
			t.Fatalf("%q: forbidden character", subject)
		}
		if got := Parse(subject); got.Room != name {
			t.Fatalf("Parse(%q).Room = %q", subject, got.Room)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{Live("eu", "hall", "t"), Speaking("eu", "hall", "t"), Log("eu", "hall", "t"), Event("eu", "hall", "session", "s"), "live.", "....", "live.eu.1.hall.ev."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := Parse(s)
		if p.Kind == Unknown && p != (Parsed{}) {
			t.Fatalf("Parse(%q) is unknown, and says %+v", s, p)
		}
		for _, part := range []string{p.Region, p.Room, p.Track, p.Entity, p.ID} {
			if !strings.Contains(s, part) {
				t.Fatalf("Parse(%q) made up %q", s, part)
			}
		}
	})
}
