package ogg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"airloom/internal/frame"
)

// FuzzReader reads the input as it is, and once more with its checksums put right, because no fuzzer guesses those.
func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add(headers().whole(0, 1920, voice, voice).whole(lastPage, 2880, voice).bytes)
	f.Add(headers().add(page{granule: noGranule, lacing: []byte{255}, body: bytes.Repeat([]byte{0xf8}, 255)}).
		add(page{flags: continued | lastPage, granule: 960, lacing: []byte{3}, body: []byte{1, 2, 3}}).bytes)
	f.Add(beside().bytes)
	f.Add(append(headers().whole(lastPage, 960, voice).bytes, headers().bytes...))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkReading(t, file)
		checkReading(t, withChecksums(file))
	})
}

// withChecksums walks from page to page as far as there are any.
func withChecksums(file []byte) []byte {
	file = bytes.Clone(file)
	for at := 0; at+pageHeaderSize <= len(file); {
		size := pageHeaderSize + int(file[at+26])
		if at+size > len(file) {
			break
		}
		for _, n := range file[at+pageHeaderSize : at+size] {
			size += int(n)
		}
		if at+size > len(file) {
			break
		}
		clear(file[at+crcPosition : at+crcPosition+4])
		binary.LittleEndian.PutUint32(file[at+crcPosition:], checksum(file[at:at+size]))
		at += size
	}
	return file
}

func checkReading(t *testing.T, file []byte) {
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		checkRefusal(t, err)
		return
	}
	var payload int
	var samples int64
	for {
		p, err := r.Next()
		if err != nil {
			if err != io.EOF {
				checkRefusal(t, err)
			}
			break
		}
		if p.Samples < frame.UnitSamples || p.Samples > frame.MaxUnits*frame.UnitSamples || len(p.Payload) > frame.MaxFrame {
			t.Fatalf("a packet of %d bytes and %d samples", len(p.Payload), p.Samples)
		}
		payload += len(p.Payload)
		samples += int64(p.Samples)
	}
	if payload > len(file) || r.Samples() != samples || r.Length() < 0 || r.Length() > samples {
		t.Fatalf("%d bytes out of %d, %d samples, %d to be heard", payload, len(file), samples, r.Length())
	}
}

func checkRefusal(t *testing.T, err error) {
	for _, known := range []error{
		ErrNotOgg, ErrNotOpus, ErrUnsupported, ErrCorrupt, ErrChained, ErrEndless, frame.ErrOpus, io.ErrUnexpectedEOF,
	} {
		if errors.Is(err, known) {
			return
		}
	}
	t.Fatalf("%v is none of the documented errors", err)
}
