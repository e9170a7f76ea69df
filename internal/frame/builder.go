package frame

import "errors"

// ErrApart says that a frame does not continue what a Builder holds: Take first, then Add again.
var ErrApart = errors.New("frame does not continue the pack")

// Builder gathers frames of one track and epoch into packs. Set the exported fields before the first Add and leave
// them; one goroutine owns a Builder. It reuses its buffers: only Take allocates.
type Builder struct {
	Handle    uint32
	Epoch     uint8
	MaxFrames int // full at so many frames; 0 means 255
	MaxBytes  int // a frame that would make the packet longer does not fit (unless it is the first); 0 means no limit

	head             Header
	count, unit      int
	lengths, payload []byte
}

// Fits tells whether Add would take the frame: the Builder is empty, or the frame has the next seq, the next
// timestamp, the same duration and the same Backlog flag, and there is room.
func (b *Builder) Fits(f Frame, flags Flags) bool {
	samples, err := Duration(f.Payload)
	return err == nil && b.fits(f, flags, samples)
}

// Add takes a copy of the frame. full says that the pack has all it can hold: Take it. Of the flags, Voice counts when
// any frame has it; Traced and Pack are ignored. Errors match ErrApart, ErrOpus or ErrHandle; then nothing was added.
func (b *Builder) Add(f Frame, flags Flags) (full bool, err error) {
	if b.Handle == 0 {
		return false, ErrHandle
	}
	samples, err := Duration(f.Payload)
	if err != nil {
		return false, err
	}
	if !b.fits(f, flags, samples) {
		return false, ErrApart
	}
	if b.count == 0 {
		b.unit = samples / UnitSamples
		b.head = Header{Handle: b.Handle, Epoch: b.Epoch, Seq: f.Seq, Timestamp: f.Timestamp}
	}
	b.head.Flags |= flags & (Voice | Backlog)
	b.count++
	b.lengths = appendLength(b.lengths, len(f.Payload))
	b.payload = append(b.payload, f.Payload...)
	return b.count == b.limit(), nil
}

// Count is the number of frames held; Seq is the first one's seq, valid while Count is not 0.
func (b *Builder) Count() int  { return b.count }
func (b *Builder) Seq() uint32 { return b.head.Seq }

// Take returns what was gathered as one packet, which the caller owns, and leaves the Builder empty; nil when there is
// nothing. A single frame comes without a count byte.
func (b *Builder) Take() []byte {
	if b.count == 0 {
		return nil
	}
	dst := make([]byte, 0, b.size(0))
	if b.count > 1 {
		b.head.Flags |= Pack
	}
	dst = appendHeader(dst, Audio, b.head)
	if b.count > 1 {
		dst = append(dst, byte(b.count))
	}
	dst = append(dst, b.lengths...)
	dst = append(dst, b.payload...)
	b.count, b.lengths, b.payload = 0, b.lengths[:0], b.payload[:0]
	return dst
}

func (b *Builder) fits(f Frame, flags Flags, samples int) bool {
	if b.count == 0 {
		return true
	}
	n := uint32(b.count)
	return b.count < b.limit() &&
		(b.MaxBytes == 0 || b.size(len(f.Payload)) <= b.MaxBytes) &&
		f.Seq == b.head.Seq+n && f.Seq > b.head.Seq &&
		samples == b.unit*UnitSamples &&
		f.Timestamp == b.head.Timestamp+n*uint32(samples) &&
		(flags^b.head.Flags)&Backlog == 0
}

func (b *Builder) limit() int {
	if b.MaxFrames == 0 {
		return MaxFrames
	}
	return min(b.MaxFrames, MaxFrames)
}

// size is the length of the pack with one more frame of n bytes, or as it is for 0, never too small.
func (b *Builder) size(n int) int {
	size := HeaderSize + 1 + len(b.lengths) + len(b.payload) + n
	if n >= 252 {
		return size + 2
	}
	return size + 1
}
