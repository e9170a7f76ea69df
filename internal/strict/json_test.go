package strict

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		in   string
		want error
	}{
		{`{}`, nil},
		{`[1,{"a":[true,null]}]`, nil},
		{` "x" `, nil},
		{`1e999`, nil},
		{``, ErrSyntax},
		{`{`, ErrSyntax},
		{`{"a":1`, ErrSyntax},
		{`{"a":1,}`, ErrSyntax},
		{`[1 2]`, ErrSyntax},
		{`{"a" 1}`, ErrSyntax},
		{`{}{}`, ErrSyntax},
		{`{} x`, ErrSyntax},
		{`NaN`, ErrSyntax},
		{"{\"a\":\"\xff\"}", ErrSyntax},
		{`{"a":1,"a":1}`, ErrDuplicate},
		{`{"a":1,"A":1}`, ErrDuplicate},
		{`{"\u0061":1,"a":1}`, ErrDuplicate},
		{`{"x":[{"kid":1,"\u212Aid":2}]}`, ErrDuplicate}, // the Kelvin sign folds to k
		{`[[[[[[[[]]]]]]]]`, nil},
		{`[[[[[[[[[]]]]]]]]]`, ErrDepth},
		{strings.Repeat("[", 100_000), ErrDepth},
	} {
		if err := Check([]byte(c.in), 8); !errors.Is(err, c.want) {
			t.Errorf("Check(%.40q) = %v, want %v", c.in, err, c.want)
		}
	}
}

func TestDecodeRefusesUnknownFieldsAndWrongTypes(t *testing.T) {
	var v struct {
		N int `json:"n"`
	}
	for _, in := range []string{`{"n":1,"m":2}`, `{"n":"1"}`, `{"n":1.5}`, `{"n":1e999}`, `{"n":9223372036854775808}`, `[]`} {
		if err := Decode([]byte(in), 8, &v); !errors.Is(err, ErrField) {
			t.Errorf("Decode(%s) = %v, want ErrField", in, err)
		}
	}
	if err := Decode([]byte(`{"n":7}`), 8, &v); err != nil || v.N != 7 {
		t.Errorf("Decode = %v, n = %d", err, v.N)
	}
}

func FuzzCheckAcceptsOnlyJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,"x"]}`, `{`, `[1,]`, `{"a":1,"A":2}`, `0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Check(b, 8) == nil && !json.Valid(b) {
			t.Fatalf("accepted %q, which is not JSON", b)
		}
	})
}
