package frame

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// vectors is testdata/vectors.json, whose head describes it. The TypeScript tests read the same file.
type vectors struct {
	Packets []struct {
		Name   string
		Hex    spelled
		Encode *bool // nil means true
		Packet vectorPacket
	}
	Invalid []struct {
		Name  string
		Hex   spelled
		Error string
		End   *int
	}
	Messages []struct {
		Name               string
		Of, Reads, Refused []string
	}
	TOCUnits []int `json:"toc_units"`
	Opus     []struct {
		Name            string
		Hex             spelled
		Units, Channels int
		Refused         string
	}
	TrackIDs []struct {
		Handle uint32
		ID     string
	} `json:"track_ids"`
	BadTrackIDs []struct{ ID string } `json:"bad_track_ids"`
	Digest      []struct {
		Frames []spelled
		SHA256 string
	}
}

type vectorPacket struct {
	Kind           string
	Flags          []string
	Handle         uint32
	Epoch          uint8
	Seq, Timestamp uint32
	TraceID        spelled `json:"trace_id"`
	SpanID         spelled `json:"span_id"`
	Count          int
	Unit           uint8
	Frames         []struct {
		Seq, Timestamp uint32
		Hex            spelled
	}
}

// spelled is bytes as the vectors spell them: tokens of hex digits, each perhaps repeated, up to a reason.
type spelled []byte

func (s *spelled) UnmarshalJSON(b []byte) error {
	lines := make([]string, 1)
	if err := json.Unmarshal(b, &lines[0]); err != nil {
		if err := json.Unmarshal(b, &lines); err != nil {
			return err
		}
	}
	*s = []byte{}
	for _, line := range lines {
		spelling, _, _ := strings.Cut(line, "|")
		for token := range strings.FieldsSeq(spelling) {
			digits, times, repeated := strings.Cut(token, "*")
			n := 1
			if repeated {
				var err error
				if n, err = strconv.Atoi(times); err != nil {
					return err
				}
			}
			b, err := hex.DecodeString(strings.Repeat(digits, n))
			if err != nil {
				return fmt.Errorf("%q: %w", token, err)
			}
			*s = append(*s, b...)
		}
	}
	return nil
}

func loadVectors(tb testing.TB) *vectors {
	tb.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		tb.Fatal(err)
	}
	return &v
}

var errorNames = map[string]error{
	"short": ErrShort, "version": ErrVersion, "kind": ErrKind, "flags": ErrFlags,
	"count": ErrCount, "handle": ErrHandle, "opus": ErrOpus, "seq": ErrSeq,
}

var flagNames = map[string]Flags{"voice": Voice, "backlog": Backlog, "traced": Traced, "pack": Pack}

func (v *vectorPacket) header() Header {
	h := Header{Handle: v.Handle, Epoch: v.Epoch, Seq: v.Seq, Timestamp: v.Timestamp}
	for _, name := range v.Flags {
		h.Flags |= flagNames[name]
	}
	copy(h.Trace.TraceID[:], v.TraceID)
	copy(h.Trace.SpanID[:], v.SpanID)
	return h
}
