package frame

import "encoding/binary"

// AppendAudio appends a packet of frames, which have the seqs from h.Seq on, to dst. One frame travels without a
// count byte unless h.Flags has Pack; more than one always as a pack. On an error dst comes back unchanged: ErrFlags
// (bits beyond the four), ErrCount (not 1–255 frames), ErrHandle, ErrOpus (a frame that Duration refuses, or frames
// that last unequally long) and ErrSeq.
func AppendAudio(dst []byte, h Header, frames ...[]byte) ([]byte, error) {
	if err := checkAudio(h, frames); err != nil {
		return dst, err
	}
	if len(frames) > 1 {
		h.Flags |= Pack
	}
	dst = appendHeader(dst, Audio, h)
	if h.Flags&Pack != 0 {
		dst = append(dst, byte(len(frames)))
	}
	for _, f := range frames {
		dst = appendLength(dst, len(f))
	}
	for _, f := range frames {
		dst = append(dst, f...)
	}
	return dst, nil
}

// AppendSilence appends a packet that declares span seqs from h.Seq on silent, each lasting unit × 2.5 ms. On an
// error dst comes back unchanged: ErrFlags (Pack, or bits beyond the four), ErrCount (span 0, unit not 1–48),
// ErrHandle and ErrSeq.
func AppendSilence(dst []byte, h Header, span uint16, unit uint8) ([]byte, error) {
	switch {
	case h.Flags&^(allFlags&^Pack) != 0:
		return dst, ErrFlags
	case span == 0:
		return dst, errSpan
	case unit == 0 || unit > MaxUnits:
		return dst, errUnit
	case h.Handle == 0:
		return dst, ErrHandle
	}
	if err := checkSeqs(h.Seq, int(span)); err != nil {
		return dst, err
	}
	dst = appendHeader(dst, Silence, h)
	dst = binary.BigEndian.AppendUint16(dst, span)
	return append(dst, unit), nil
}

func checkAudio(h Header, frames [][]byte) error {
	switch {
	case h.Flags&^allFlags != 0:
		return ErrFlags
	case len(frames) == 0:
		return errNoFrames
	case len(frames) > MaxFrames:
		return errManyFrames
	case h.Handle == 0:
		return ErrHandle
	}
	first := 0
	for i, f := range frames {
		samples, err := Duration(f)
		if err != nil {
			return err
		}
		if i == 0 {
			first = samples
		}
		if samples != first {
			return errMixed
		}
	}
	return checkSeqs(h.Seq, len(frames))
}

func appendHeader(dst []byte, kind Kind, h Header) []byte {
	dst = append(dst, version<<6|byte(kind)<<4|byte(h.Flags))
	dst = binary.BigEndian.AppendUint32(dst, h.Handle)
	dst = append(dst, h.Epoch)
	dst = binary.BigEndian.AppendUint32(dst, h.Seq)
	dst = binary.BigEndian.AppendUint32(dst, h.Timestamp)
	if h.Flags&Traced != 0 {
		dst = append(dst, h.Trace.TraceID[:]...)
		dst = append(dst, h.Trace.SpanID[:]...)
	}
	return dst
}
