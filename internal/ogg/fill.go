package ogg

import "airloom/internal/frame"

const (
	// tolerance is how far time may be off before it is put right, 20 ms; less where frames are shorter.
	tolerance = frame.SampleRate / 50
	// concealed is how much of a loss the decoder is asked to conceal, 80 ms. From about 100 ms on libopus plays noise.
	concealed = 4 * 960
	// code3 in a TOC says that the next byte is the number of Opus frames.
	code3 = 3
)

// silences are Opus packets of digital silence. The long ones, what libopus makes of zeros once it has settled, are narrow-band
// SILK. That matters for the frame after them: CELT predicts a frame's loudness from the frames before it, so that
// after CELT silence the first 100 ms of a voice come out up to 30 dB too quiet, while after SILK silence a CELT decoder
// starts afresh, and SILK frames do not care. SILK has nothing shorter than 10 ms, so what is left over is CELT (RFC 6716
// §4.3: a set silence flag and nothing else) and goes first.
var silences = []struct {
	samples int64
	packet  []byte
	all     bool // for as long as it fits, not only for what the next ones leave over
}{
	{120, []byte{28 << 3, 0xff, 0xfe}, false},
	{240, []byte{29 << 3, 0xff, 0xfe}, false},
	{480, []byte{0 << 3, 0x0a, 0x72, 0x8f, 0x48}, false},
	{960, []byte{1 << 3, 0x08, 0xac, 0xb3, 0x0e, 0xc6}, true},
}

// silence fills the time up to the sample `to`, but for less than 2.5 ms.
func (w *Writer) silence(to int64) Fill {
	fill := Fill{First: w.packets}
	start := w.end
	for _, s := range silences {
		left := to - w.end
		for left >= s.samples && (s.all || left/s.samples%2 == 1) {
			w.add(s.packet, int(s.samples))
			left -= s.samples
		}
	}
	fill.Packets, fill.Samples = w.packets-fill.First, w.end-start
	return fill
}

// lose fills the time up to the sample `to`, in which nothing was published.
func (w *Writer) lose(to int64) Fill {
	fill := Fill{First: w.packets}
	start := w.end
	if w.packets > 0 {
		w.conceal(min(to-w.end, concealed))
	}
	w.silence(to)
	fill.Packets, fill.Samples = w.packets-fill.First, w.end-start
	return fill
}

// conceal writes one packet of empty Opus frames, in the mode of the last frame so that the decoder goes on from
// there, for as much of the time as they can say.
func (w *Writer) conceal(samples int64) {
	toc := w.toc | code3
	each, err := frame.Duration([]byte{toc, 1})
	if err != nil || samples < int64(each) {
		return
	}
	count := samples / int64(each)
	w.add([]byte{toc, byte(count)}, int(count)*each)
}
