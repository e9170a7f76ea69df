// Package ogg owns Ogg Opus files (RFC 3533, RFC 7845): a Reader that hands out the Opus packets of a file or a pipe,
// and a Writer that keeps published frames byte for byte and true to time.
//
// It never decodes or alters Opus, opens no file and trusts nothing it reads: memory stays at about two pages, whatever
// the input claims.
package ogg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Why a file is refused. Errors of the Reader match one of these, frame.ErrOpus, io.ErrUnexpectedEOF (cut short) or
// are those of the underlying reader.
var (
	ErrNotOgg      = errors.New("not an Ogg file")
	ErrNotOpus     = errors.New("no Opus in this Ogg file")
	ErrUnsupported = errors.New("unsupported Ogg Opus")
	ErrCorrupt     = errors.New("corrupt Ogg file")
	ErrChained     = errors.New("another stream follows in the same file")
	ErrEndless     = errors.New("Ogg pages without any audio")
)

// Head is what an OpusHead packet says (RFC 7845 §5.1), channel mapping family 0 only.
type Head struct {
	Channels  int    // 1 or 2
	PreSkip   int    // samples (48 kHz) to drop from the start of what is decoded
	InputRate uint32 // of the audio before encoding, in Hz, 0 unknown: a remark without effect, which may be nonsense
	Gain      int16  // to apply to what is decoded, in 1/256 dB
}

const (
	headMagic = "OpusHead"
	tagsMagic = "OpusTags"
	headSize  = 19
)

func parseHead(b []byte) (Head, error) {
	switch {
	case len(b) < headSize:
		return Head{}, fmt.Errorf("%w: OpusHead of %d bytes", ErrCorrupt, len(b))
	case b[8]>>4 != 0:
		return Head{}, fmt.Errorf("%w: version %d", ErrUnsupported, b[8])
	case b[18] != 0:
		return Head{}, fmt.Errorf("%w: channel mapping family %d (only mono and stereo)", ErrUnsupported, b[18])
	case b[9] != 1 && b[9] != 2:
		return Head{}, fmt.Errorf("%w: %d channels", ErrUnsupported, b[9])
	}
	return Head{
		Channels:  int(b[9]),
		PreSkip:   int(binary.LittleEndian.Uint16(b[10:])),
		InputRate: binary.LittleEndian.Uint32(b[12:]),
		Gain:      int16(binary.LittleEndian.Uint16(b[16:])),
	}, nil
}

func appendHead(dst []byte, h Head) ([]byte, error) {
	if h.Channels != 1 && h.Channels != 2 {
		return dst, fmt.Errorf("%w: %d channels", ErrUnsupported, h.Channels)
	}
	if h.PreSkip < 0 || h.PreSkip > math.MaxUint16 {
		return dst, fmt.Errorf("%w: pre-skip of %d samples", ErrUnsupported, h.PreSkip)
	}
	dst = append(dst, headMagic...)
	dst = append(dst, 1, byte(h.Channels))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.PreSkip))
	dst = binary.LittleEndian.AppendUint32(dst, h.InputRate)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Gain))
	return append(dst, 0), nil
}

// appendTags writes OpusTags (RFC 7845 §5.2); comments are "NAME=value".
func appendTags(dst []byte, vendor string, comments []string) []byte {
	dst = append(dst, tagsMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(vendor)))
	dst = append(dst, vendor...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(comments)))
	for _, c := range comments {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(c)))
		dst = append(dst, c...)
	}
	return dst
}
