// Package name makes display names harmless: what a person typed goes in, what may stand in a roster comes out.
//
// A name is shown as text next to other people's names. So it may not hide characters, turn the reading direction, break the
// line, or be longer or taller than a line. It is never compared: who somebody is, says the identity.
package name

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
	"golang.org/x/text/unicode/norm"
)

const (
	// Max is the longest name in grapheme clusters, what a reader takes for one character.
	Max = 64
	// maxInput bounds the work in bytes; Max clusters of maxRunes runes never need more.
	maxInput = 8 << 10
	// maxRunes bounds one cluster, else a tower of combining marks would overflow its line. The longest emoji in use has 10.
	maxRunes = 16
)

// Clean gives the name in NFC with at most Max grapheme clusters, white space runs as single spaces, and without control
// characters (C0, C1, bidi), private use and invisible characters; a zero-width joiner stays only between two pictographs. What
// is not UTF-8 becomes U+FFFD. The result may be empty. Cleaning twice changes nothing.
func Clean(s string) string {
	if len(s) > maxInput {
		s = s[:maxInput]
	}
	s = norm.NFC.String(visible([]rune(s)))
	var out strings.Builder
	rest, state := s, -1
	for n := 0; n < Max && rest != ""; n++ {
		var cluster string
		cluster, rest, _, state = uniseg.FirstGraphemeClusterInString(rest, state)
		out.WriteString(strings.TrimRight(first(cluster, maxRunes), string(joiner)))
	}
	return norm.NFC.String(strings.TrimSpace(out.String()))
}

// visible drops what nobody would see and turns white space into single spaces.
func visible(in []rune) string {
	var out strings.Builder
	space := true // none at the front
	for i, r := range in {
		switch {
		case unicode.IsSpace(r):
			if !space {
				out.WriteByte(' ')
			}
			space = true
		case r == joiner && joins(in, i), !hidden(r):
			out.WriteRune(r)
			space = false
		}
	}
	return out.String()
}

const (
	joiner    = '\u200d'
	textStyle = '\ufe0e'
	emoji     = '\ufe0f'
)

func hidden(r rune) bool {
	switch {
	case r == textStyle, r == emoji:
		return false // choose how the pictograph before them looks
	case r == '\u2800': // braille blank: a symbol that shows nothing
		return true
	}
	return unicode.In(r, unicode.C, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// joins says whether the joiner at i stands between two pictographs.
func joins(in []rune, i int) bool {
	if i+1 >= len(in) || !pictograph(in[i+1]) {
		return false
	}
	before := i - 1
	for before >= 0 && (in[before] == emoji || (in[before] >= 0x1f3fb && in[before] <= 0x1f3ff)) { // style and skin tone
		before--
	}
	return before >= 0 && pictograph(in[before])
}

// pictograph asks the segmenter, which holds the table: only over a pictograph does a joiner reach the next one (UAX 29, GB11).
func pictograph(r rune) bool {
	return r > 0x7f && unicode.In(r, unicode.So, unicode.Sm, unicode.Po, unicode.Pd) &&
		uniseg.GraphemeClusterCount(string([]rune{r, joiner, r})) == 1
}

func first(s string, runes int) string {
	for i := range s {
		if runes == 0 {
			return s[:i]
		}
		runes--
	}
	return s
}
