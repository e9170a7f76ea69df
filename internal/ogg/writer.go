package ogg

import (
	"errors"
	"fmt"
	"io"

	"airloom/internal/frame"
)

const (
	// EncoderDelay is the pre-skip of a stream whose encoder is not known: what libopus, and so every browser, delays
	// the audio by (6.5 ms).
	EncoderDelay = 312
	// maxFill is the longest gap that is filled at once, 24 hours: a bad timestamp must not fill the disk.
	maxFill = 24 * 3600 * frame.SampleRate

	pageSamples = frame.SampleRate // a page lasts a second: 1.5 % overhead at 24 kbit/s, and that much is lost in a crash
	vendor      = "airloom"
)

// ErrGap says that a frame or a silence lies more than 24 hours after what was written before it.
var ErrGap = errors.New("gap of more than 24 hours")

// Fill names packets that a Writer made up, so that time stays true where no frame is: Packets packets from number
// First on (counted from 0 over the audio packets of the file), lasting Samples in all. Packets 0 means none.
type Fill struct {
	First, Packets int
	Samples        int64
}

// Writer writes one track as an Ogg Opus file. Frames stay as they were published, byte for byte, in the order given.
//
// Ogg Opus has no way to say "nothing for a while": a granule position that runs ahead of its packets is forbidden
// (RFC 7845 §4.1), and players close such a gap up. So time without frames is filled with packets: a declared silence
// with encoded digital silence; a loss first with up to 80 ms of frames of zero length, which ask the decoder to conceal
// it (RFC 7845 §4.1), then with silence. Every call tells which packets are fill. Gaps come in steps of 2.5 ms, the
// least that Opus can say; what is left over is made up for by the next gap, so time is never wrong by a frame or 20 ms.
//
// The same calls give the same bytes. One goroutine owns a Writer. After an error it is of no more use.
type Writer struct {
	out      io.Writer
	page     page
	lacing   []byte
	body     []byte
	buf      []byte
	serial   uint32
	sequence uint32

	head    Head
	packets int
	end     int64 // samples written so far
	flushed int64 // of these, in pages that are out
	toc     byte  // of the last frame
	each    int   // samples of the last packet
	err     error
}

// NewWriter writes the headers: two pages. serial tells the stream from others in the same file; comments are
// "NAME=value". Errors: ErrUnsupported for a Head that cannot be said, and those of out.
func NewWriter(out io.Writer, serial uint32, h Head, comments ...string) (*Writer, error) {
	w := &Writer{out: out, serial: serial, head: h}
	head, err := appendHead(nil, h)
	if err != nil {
		return nil, err
	}
	w.append(head)
	w.flush(firstPage)
	w.appendLong(appendTags(nil, vendor, comments))
	w.flush(0)
	return w, w.err
}

// Samples is the duration written so far, fill and pre-skip included; Packets the number of packets.
func (w *Writer) Samples() int64 { return w.end }
func (w *Writer) Packets() int   { return w.packets }

// Frame writes a frame that begins at the sample `at`, counted at 48 kHz from the start of the file. If that is later
// than what was written, by a frame or by 20 ms, the time between counts as lost and is filled. A frame that comes
// earlier than the end of the one before is put right behind it. Errors: frame.ErrOpus, ErrGap, those of the output.
func (w *Writer) Frame(at int64, payload []byte) (lost Fill, err error) {
	samples, err := frame.Duration(payload)
	if err != nil {
		return Fill{}, err
	}
	if lost, err = w.catchUp(at, min(samples, tolerance)); err != nil {
		return lost, err
	}
	w.toc = payload[0]
	w.add(payload, samples)
	return lost, w.err
}

// Silence fills the time from the sample `at`, for `samples`, with digital silence; time before that which was not
// written is lost as in Frame. Errors: ErrGap, those of the output.
func (w *Writer) Silence(at, samples int64) (lost, silent Fill, err error) {
	if samples > maxFill {
		return lost, silent, ErrGap
	}
	if lost, err = w.catchUp(at, tolerance); err != nil {
		return lost, silent, err
	}
	return lost, w.silence(at + samples), w.err
}

// catchUp fills what is lost before the sample `at` unless it is less than `least`.
func (w *Writer) catchUp(at int64, least int) (lost Fill, err error) {
	switch {
	case w.err != nil:
		return Fill{}, w.err
	case at-w.end < int64(least):
		return Fill{}, nil
	case at-w.end > maxFill:
		return Fill{}, ErrGap
	}
	return w.lose(at), w.err
}

// Close writes the last page. The last `trim` samples of the last packet are not to be heard. Closing an empty file, or one
// shorter than its pre-skip, adds silence up to the pre-skip, because a stream may not end before its audio begins.
// It does not close the output.
func (w *Writer) Close(trim int) error {
	if w.err != nil {
		return w.err
	}
	if trim < 0 || trim > w.each {
		return fmt.Errorf("close Ogg: trim of %d samples, but the last packet has %d", trim, w.each)
	}
	short := int64(w.head.PreSkip) - (w.end - int64(trim))
	if short > 0 || w.packets == 0 {
		w.silence(w.end + max(short, 1) + frame.UnitSamples - 1)
	}
	w.page.granule = w.end - int64(trim)
	w.flush(lastPage)
	if w.err == nil {
		w.err = errClosed
		return nil
	}
	return w.err
}

var errClosed = errors.New("Ogg writer is closed")

// add takes the next packet of audio. A page goes out when the packet after it is there, because the last one has
// to be marked.
func (w *Writer) add(payload []byte, samples int) {
	if w.err != nil {
		return
	}
	full := w.end+int64(samples)-w.flushed > pageSamples || len(w.lacing)+len(payload)/255+1 > maxLacing
	if full && len(w.lacing) > 0 {
		w.page.granule = w.end
		w.flush(0)
	}
	w.append(payload)
	w.packets++
	w.each = samples
	w.end += int64(samples)
}

func (w *Writer) append(packet []byte) {
	w.lacing = appendLacing(w.lacing, len(packet))
	w.body = append(w.body, packet...)
}

// appendLong is append for a packet that may take more than one page.
func (w *Writer) appendLong(packet []byte) {
	const most = maxLacing * 255
	var flags byte
	for len(packet) >= most {
		for range maxLacing {
			w.lacing = append(w.lacing, 255)
		}
		w.body = append(w.body, packet[:most]...)
		packet = packet[most:]
		w.page.granule = noGranule
		w.flush(flags)
		w.page.granule = 0
		flags = continued
	}
	w.append(packet)
	w.page.flags = flags
}

func (w *Writer) flush(flags byte) {
	if w.err != nil {
		return
	}
	w.page.flags |= flags
	w.page.serial, w.page.sequence = w.serial, w.sequence
	w.page.lacing, w.page.body = w.lacing, w.body
	w.buf = appendPage(w.buf[:0], &w.page)
	if _, err := w.out.Write(w.buf); err != nil {
		w.err = fmt.Errorf("write Ogg page %d: %w", w.sequence, err)
	}
	w.sequence++
	w.page.flags, w.flushed = 0, w.end
	w.lacing, w.body = w.lacing[:0], w.body[:0]
}
