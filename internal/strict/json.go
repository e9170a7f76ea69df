// Package strict reads JSON from strangers: bounded depth, no key twice, no unknown field, nothing behind the value.
//
// encoding/json alone takes the last of two equal keys, matches keys whatever their case, and lets deep nesting through. Two
// readers of one document could then see two different documents. The size is the caller's to bound.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Refusals, wrapped with the place.
var (
	ErrSyntax    = errors.New("not JSON")
	ErrDepth     = errors.New("nested too deeply")
	ErrDuplicate = errors.New("a key appears twice")
	ErrField     = errors.New("a field is unknown or has the wrong type")
)

// Decode checks b as Check does and stores it in v, refusing fields that v does not have (ErrField).
func Decode(b []byte, depth int, v any) error {
	if err := Check(b, depth); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %s", ErrField, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// Check tells whether b is exactly one JSON value of valid UTF-8, at most depth objects and arrays deep, in which no
// object has two keys that differ in nothing but case.
func Check(b []byte, depth int) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: invalid UTF-8", ErrSyntax)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a number of any size is well-formed; whether it fits is for its field to say
	if err := (&walker{d: d, depth: depth}).value(0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows the value", ErrSyntax)
	}
	return nil
}

type walker struct {
	d     *json.Decoder
	depth int
}

func (w *walker) value(level int) error {
	token, err := w.d.Token()
	if err != nil {
		return syntax(err)
	}
	open, nested := token.(json.Delim)
	switch {
	case !nested:
		return nil
	case level == w.depth:
		return fmt.Errorf("%w: more than %d levels", ErrDepth, w.depth)
	case open == '{':
		return w.object(level + 1)
	default:
		return w.array(level + 1)
	}
}

func (w *walker) object(level int) error {
	seen := map[string]bool{}
	for w.d.More() {
		token, err := w.d.Token()
		if err != nil {
			return syntax(err)
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("%w: a key is not a string", ErrSyntax)
		}
		folded := strings.ToLower(strings.ToUpper(key)) // as encoding/json compares: under simple case folding
		if seen[folded] {
			return fmt.Errorf("%w: %.40q", ErrDuplicate, key)
		}
		seen[folded] = true
		if err := w.value(level); err != nil {
			return err
		}
	}
	return w.end()
}

func (w *walker) array(level int) error {
	for w.d.More() {
		if err := w.value(level); err != nil {
			return err
		}
	}
	return w.end()
}

func (w *walker) end() error {
	if _, err := w.d.Token(); err != nil {
		return syntax(err)
	}
	return nil
}

func syntax(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends too early", ErrSyntax)
	}
	return fmt.Errorf("%w: %s", ErrSyntax, err.Error())
}
