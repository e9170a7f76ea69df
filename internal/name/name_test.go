package name

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

// Row 55 of the catalogue of bad inputs.
func TestRow55DisplayNames(t *testing.T) {
	family := "👩🏽\u200d❤\ufe0f\u200d💋\u200d👨🏽"
	for _, c := range []struct{ what, in, want string }{
		{"plain", "Zoë Ångström", "Zoë Ångström"},
		{"decomposed", "Zoe\u0308", "Zoë"},
		{"10 KB", strings.Repeat("x", 10<<10), strings.Repeat("x", Max)},
		{"C0", "a\x00b\x07c\x1b[31md", "abc[31md"},
		{"C1", "a\u0080b\u009fc", "abc"},
		{"line break", "Eve\r\nAdmin", "Eve Admin"},
		{"only space", " \t\u3000\u2028 ", ""},
		{"space runs", "  a \u00a0 b  ", "a b"},
		{"RTL override", "\u202egnp.exe\u202c", "gnp.exe"},
		{"bidi isolates and marks", "\u2066a\u2069\u200e\u200f\u061cb", "ab"},
		{"zero width", "ad\u200bm\u200ci\u2060n\ufeff", "admin"},
		{"zero width joiner in a word", "ad\u200dmin", "admin"},
		{"invisible letters", "a\u3164\u115f\u00ad\u034f\u2800b", "ab"},
		{"tag characters", "hi\U000e0041\U000e0042", "hi"},
		{"hidden data in variation selectors", "hi\ufe01\U000e0101", "hi"},
		{"private use", "a\ue000b", "ab"},
		{"HTML stays text", "<b onclick=x>&amp;</b>", "<b onclick=x>&amp;</b>"},
		{"emoji with joiners", family, family},
		{"joiner without a partner", "👩\u200d", "👩"},
		{"two joiners", "👩\u200d\u200d👨", "👩👨"},
		{"64 families", strings.Repeat(family, 100), strings.Repeat(family, Max)},
		{"a chain of pictographs", strings.Repeat("👩\u200d", 500) + "👩", strings.Repeat("👩\u200d", 7) + "👩"},
		{"tower of marks", "e" + strings.Repeat("\u0301", 500), "é" + strings.Repeat("\u0301", maxRunes-1)},
		{"not UTF-8", "a\xff\xc0b", "a��b"},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := Clean(c.in)
			if got != c.want {
				t.Fatalf("Clean(%+q) = %+q, want %+q", c.in, got, c.want)
			}
		})
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"Zoe\u0308", "\u202ex", "👩\u200d👩", "e\u200d\u0301", "\u1100\u1161\u11a8", "a\xffb", strings.Repeat("e\u0301", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) || !norm.NFC.IsNormalString(got) {
			t.Fatalf("Clean(%+q) = %+q is not UTF-8 in NFC", s, got)
		}
		if n := uniseg.GraphemeClusterCount(got); n > Max {
			t.Fatalf("Clean(%+q) has %d clusters", s, n)
		}
		if again := Clean(got); again != got {
			t.Fatalf("Clean(%+q) = %+q, again %+q", s, got, again)
		}
		for _, r := range got {
			if r != joiner && hidden(r) {
				t.Fatalf("Clean(%+q) keeps %U", s, r)
			}
		}
	})
}
