package ogg

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// A page with a wrong checksum ends the reading, or is taken as it is by who asked for that.
func TestForgive(t *testing.T) {
	file := corrupt(headers().whole(0, 1920, voice, voice).whole(0, 2880, voice).whole(lastPage, 3840, voice).bytes, -1)
	for _, forgive := range []bool{false, true} {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if forgive {
			r.Forgive()
		}
		var last []byte
		packets := 0
		for {
			p, next := r.Next()
			if err = next; err != nil {
				break
			}
			last = bytes.Clone(p.Payload)
			packets++
		}
		if forgive && (packets != 4 || err != io.EOF || r.Damaged() != 1 || bytes.Equal(last, voice)) {
			t.Errorf("forgiven: %d packets, %d damaged, %v", packets, r.Damaged(), err)
		}
		if !forgive && (packets != 3 || !errors.Is(err, ErrCorrupt) || r.Damaged() != 0) {
			t.Errorf("%d packets, %v", packets, err)
		}
	}
}
