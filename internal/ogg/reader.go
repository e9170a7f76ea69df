package ogg

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"airloom/internal/frame"
)

const (
	// maxPacket is what RFC 7845 §6 has a reader bear; frames that airloom carries are much shorter.
	maxPacket = 61440
	// maxIdlePages ends the patience with pages that bring no packet: the tags (which may hold pictures), pages of
	// other streams, empty ones. That is up to 266 MB, so a cap of bytes or time is for who calls to set.
	maxIdlePages = 4096
)

// Packet is one Opus packet of a file.
type Packet struct {
	// Payload is valid until the next call of Next. It is a valid frame (frame.Duration), unless it is a single byte:
	// an encoder with DTX writes that where it has nothing to say, and on the wire it is a declared silence.
	Payload []byte
	Samples int // duration at 48 kHz
}

// Reader hands out the packets of the first Opus stream in an Ogg file, in order, as they arrive. Pages of other
// streams that begin along with it (video, a skeleton) are passed over. One goroutine owns it.
type Reader struct {
	in   *bufio.Reader
	buf  [maxPage]byte
	page page
	head Head

	serial, sequence uint32
	began, ended     bool // an audio page was read; the stream's last page was read
	partial          []byte
	pending          bool // partial waits for its end in the next page
	skipping         bool // the packet under way began before what we have
	idle             int
	err              error // what Next said last, if it cannot go on

	packets     int
	samples     int64
	forgiving   bool
	damaged     int   // pages that were forgiven
	start, last int64 // granule positions where the first packet begins and the last page so far ends
	timed       bool  // start and last are known
}

// NewReader reads up to the end of the headers. Errors: ErrNotOgg, ErrNotOpus, ErrUnsupported, ErrCorrupt, ErrEndless,
// io.ErrUnexpectedEOF.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, 1<<16)}
	if err := r.findHead(); err != nil {
		return nil, fmt.Errorf("read Ogg headers: %w", err)
	}
	if err := r.skipTags(); err != nil {
		return nil, fmt.Errorf("read Ogg tags: %w", cutShort(err))
	}
	return r, nil
}

// Head is what the file says of itself.
func (r *Reader) Head() Head { return r.head }

// Forgive makes Next take pages with a wrong checksum as they are, for who knows by other means what each packet must be and wants to
// tell which ones are not. Damaged says how many such pages there were so far.
func (r *Reader) Forgive()     { r.forgiving = true }
func (r *Reader) Damaged() int { return r.damaged }

// Samples is the duration of the packets handed out so far, before any trimming.
func (r *Reader) Samples() int64 { return r.samples }

// Length is how many samples are to be heard once Next has returned io.EOF: without pre-skip and end trim
// (RFC 7845 §4), and never more than there are.
func (r *Reader) Length() int64 {
	length := r.samples
	if r.timed {
		length = min(length, r.last-r.start)
	}
	return max(0, length-int64(r.head.PreSkip))
}

// Next returns the next packet; io.EOF after the last one. Other errors are final too: frame.ErrOpus for a packet that
// is not a valid frame, ErrCorrupt, io.ErrUnexpectedEOF, ErrEndless, and ErrChained when another stream begins where
// this one ends, all of which has been handed out by then.
func (r *Reader) Next() (Packet, error) {
	if r.err != nil {
		return Packet{}, r.err
	}
	p, err := r.next()
	if err != nil {
		r.err = err
		if err != io.EOF {
			r.err = fmt.Errorf("read Ogg packet %d: %w", r.packets, err)
		}
		return Packet{}, r.err
	}
	r.idle = 0
	r.packets++
	r.samples += int64(p.Samples)
	return p, nil
}

func (r *Reader) next() (Packet, error) {
	payload, err := r.packet()
	if err != nil {
		return Packet{}, err
	}
	samples, err := duration(payload)
	return Packet{payload, samples}, err
}

// duration is that of a frame, or of a single byte that stands for one Opus frame or two which are not sent.
func duration(payload []byte) (int, error) {
	if len(payload) == 1 && payload[0]&3 < 2 {
		return frame.Duration([]byte{payload[0], 0, 0})
	}
	return frame.Duration(payload)
}

// packet puts the next packet together, out of one page or several.
func (r *Reader) packet() ([]byte, error) {
	for {
		part, whole, ok := r.page.take()
		if !ok {
			if err := r.nextAudioPage(); err != nil {
				return nil, err
			}
			continue
		}
		switch {
		case r.skipping:
			r.skipping = !whole
		case whole && !r.pending:
			return part, nil
		case len(r.partial)+len(part) > maxPacket:
			return nil, fmt.Errorf("%w: a packet of more than %d bytes", ErrCorrupt, maxPacket)
		default:
			r.partial = append(r.partial, part...)
			r.pending = !whole
			if whole {
				packet := r.partial
				r.partial = r.partial[:0]
				return packet, nil
			}
		}
	}
}

func (r *Reader) nextAudioPage() error {
	if r.began {
		r.closePage()
	}
	if err := r.nextPage(); err != nil {
		if err == io.EOF && r.pending {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	goesOn := r.page.flags&continued != 0
	if !r.began {
		// A stream that was joined late begins within a packet, of which the rest is of no use.
		r.began, r.skipping = true, goesOn
		return nil
	}
	if goesOn != (r.pending || r.skipping) && len(r.page.lacing) > 0 {
		return fmt.Errorf("%w: page %d does not continue the one before", ErrCorrupt, r.page.sequence)
	}
	return nil
}

// closePage takes note of the time at the end of a page that was eaten up.
func (r *Reader) closePage() {
	if r.page.granule == noGranule || r.samples == 0 {
		return
	}
	if !r.timed && r.page.flags&lastPage == 0 {
		r.start = max(0, r.page.granule-r.samples)
	}
	r.timed, r.last = true, r.page.granule
}

// nextPage reads on to the next page of our stream.
func (r *Reader) nextPage() error {
	for {
		if r.idle++; r.idle > maxIdlePages {
			return ErrEndless
		}
		p, err := readPage(r.in, &r.buf)
		if errors.Is(err, errChecksum) && r.forgiving {
			r.damaged, err = r.damaged+1, nil
		}
		switch {
		case errors.Is(err, ErrNotOgg) && r.ended:
			return io.EOF // what hangs on behind the stream is none of ours
		case errors.Is(err, ErrNotOgg):
			return fmt.Errorf("%w: no page where one should begin", ErrCorrupt)
		case err != nil:
			return err
		case p.flags&firstPage != 0:
			return ErrChained
		case p.serial != r.serial:
			continue
		case r.ended:
			return fmt.Errorf("%w: page %d after the last one", ErrCorrupt, p.sequence)
		case p.sequence != r.sequence+1 && r.began:
			return fmt.Errorf("%w: page %d where %d should be", ErrCorrupt, p.sequence, r.sequence+1)
		}
		r.page, r.sequence = p, p.sequence
		r.ended = p.flags&lastPage != 0
		return nil
	}
}
