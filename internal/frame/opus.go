package frame

// Duration is how long an Opus packet lasts, in 48 kHz samples: a multiple of 120, at most 5760. It reads the TOC and
// the frame headers and holds them against the packet's length (RFC 6716 §3.1, §3.2 and the requirements R1–R7 of
// §3.4); the compressed audio itself is not looked at. Errors match ErrOpus. A packet of 1 byte, which is all an encoder
// makes of a frame it wants not sent (DTX), is refused too: on the wire that is a declared silence.
func Duration(payload []byte) (samples int, err error) {
	switch {
	case len(payload) < MinFrame:
		return 0, errFrameShort
	case len(payload) > MaxFrame:
		return 0, errFrameLong
	}
	each, body := tocSamples(payload[0]), payload[1:]
	switch payload[0] & 3 {
	case 0:
		return each, nil
	case 1:
		if len(body)%2 != 0 {
			return 0, errOdd
		}
		return 2 * each, nil
	case 2:
		n, size := readLength(body)
		if size == 0 || n > len(body)-size {
			return 0, errFirstFrame
		}
		return 2 * each, nil
	}
	return code3(each, body)
}

// Channels is 1 or 2 as the TOC says, 0 for an empty payload.
func Channels(payload []byte) int {
	if len(payload) == 0 {
		return 0
	}
	return 1 + int(payload[0]>>2&1)
}

// tocSamples is the duration of one Opus frame (RFC 6716 §3.1, table 2), of which a packet may hold several.
func tocSamples(toc byte) int {
	config := toc >> 3
	switch {
	case config >= 16: // CELT: 2.5, 5, 10, 20 ms
		return UnitSamples << (config & 3)
	case config >= 12: // hybrid: 10, 20 ms
		return 480 << (config & 1)
	case config&3 == 3: // SILK: 10, 20, 40, 60 ms
		return 2880
	}
	return 480 << (config & 3)
}

// code3 checks a packet that tells its number of frames (RFC 6716 §3.2.5). body is what follows the TOC, not empty.
func code3(each int, body []byte) (samples int, err error) {
	count := int(body[0] & 0x3f)
	variable, padded := body[0]&0x80 != 0, body[0]&0x40 != 0
	body = body[1:]
	switch {
	case count == 0:
		return 0, errCode3Count
	case count*each > MaxUnits*UnitSamples:
		return 0, errTooLong
	}
	if padded {
		var ok bool
		if body, ok = stripPadding(body); !ok {
			return 0, errPadding
		}
	}
	if variable {
		return count * each, checkLengths(body, count)
	}
	if len(body)%count != 0 {
		return 0, errUneven
	}
	return count * each, nil
}

// stripPadding removes the padding's length bytes from the front and the padding from the end. A length byte of 255
// means 254 bytes and that another length byte follows.
func stripPadding(body []byte) ([]byte, bool) {
	padding := 0
	for i, b := range body {
		if b != 255 {
			padding += int(b)
			body = body[i+1:]
			return body[:max(0, len(body)-padding)], padding <= len(body)
		}
		padding += 254
	}
	return nil, false
}

// checkLengths holds the lengths of all frames but the last, which takes what is left, against body.
func checkLengths(body []byte, count int) error {
	total := 0
	for range count - 1 {
		n, size := readLength(body)
		if size == 0 {
			return errFrameLengths
		}
		total += n
		body = body[size:]
	}
	if total > len(body) {
		return errFrameLengths
	}
	return nil
}
