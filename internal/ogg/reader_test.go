package ogg

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pion/opus/pkg/oggreader"
	"pgregory.net/rapid"

	"airloom/internal/frame"
)

const serial = 77

// pages builds files that no decent tool writes.
type pages struct {
	bytes    []byte
	sequence uint32
}

func (b *pages) add(p page) *pages {
	if p.serial == 0 {
		p.serial = serial
	}
	p.sequence += b.sequence
	b.bytes = appendPage(b.bytes, &p)
	b.sequence++
	return b
}

// whole adds a page of whole packets.
func (b *pages) whole(flags byte, granule int64, packets ...[]byte) *pages {
	p := page{flags: flags, granule: granule}
	for _, packet := range packets {
		p.lacing = appendLacing(p.lacing, len(packet))
		p.body = append(p.body, packet...)
	}
	return b.add(p)
}

// raw adds bytes that are no page.
func (b *pages) raw(s string) *pages {
	b.bytes = append(b.bytes, s...)
	return b
}

func headers() *pages {
	head, _ := appendHead(nil, Head{Channels: 1, PreSkip: EncoderDelay, InputRate: 48000})
	return new(pages).whole(firstPage, 0, head).whole(0, 0, appendTags(nil, "test", nil))
}

func headWith(at int, value byte) *pages {
	head, _ := appendHead(nil, Head{Channels: 1})
	head[at] = value
	return new(pages).whole(firstPage, 0, head).whole(0, 0, appendTags(nil, "test", nil))
}

var voice = []byte{0xf8, 1, 2, 3} // 20 ms

func corrupt(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[(at+len(b))%len(b)] ^= 1
	return b
}

func TestHostileFiles(t *testing.T) {
	good := headers().whole(0, 1920, voice, voice).whole(lastPage, 2880, voice).bytes
	for _, c := range []struct {
		name    string
		file    []byte
		packets int
		err     error
	}{
		{"good", good, 3, io.EOF},
		{"nothing", nil, 0, io.ErrUnexpectedEOF},
		{"text", []byte("Not a sound, just words, and quite a few of them."), 0, ErrNotOgg},
		{"WAV that claims 4 GB", []byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00"), 0, ErrNotOgg},
		{"zip", []byte("PK\x03\x04" + strings.Repeat("\x00", 100)), 0, ErrNotOgg},
		{"two bytes of text", []byte("Og"), 0, io.ErrUnexpectedEOF},
		{"page format 1", append([]byte("OggS\x01"), make([]byte, 60)...), 0, ErrCorrupt},
		{"Vorbis", new(pages).whole(firstPage, 0, []byte("\x01vorbis...")).whole(0, 0, []byte("\x03vorbis")).bytes, 0, ErrNotOpus},
		{"short head", new(pages).whole(firstPage, 0, []byte("OpusHead\x01\x01")).bytes, 0, ErrCorrupt},
		{"head and more on a page", new(pages).whole(firstPage, 0, []byte("OpusHead"), voice).bytes, 0, ErrCorrupt},
		{"version 16", headWith(8, 16).bytes, 0, ErrUnsupported},
		{"no channels", headWith(9, 0).bytes, 0, ErrUnsupported},
		{"6 channels", headWith(9, 6).bytes, 0, ErrUnsupported},
		{"surround", headWith(18, 1).bytes, 0, ErrUnsupported},
		{"sample rate of 3.8 GHz", headWith(15, 0xe4).whole(lastPage, 960, voice).bytes, 1, io.EOF},
		{"no tags", new(pages).whole(firstPage, 0, headers().bytes[28:47]).bytes, 0, io.ErrUnexpectedEOF},
		{"other tags", new(pages).whole(firstPage, 0, headers().bytes[28:47]).whole(0, 0, voice).bytes, 0, ErrCorrupt},
		{"audio behind tags", new(pages).whole(firstPage, 0, headers().bytes[28:47]).whole(0, 960, appendTags(nil, "", nil), voice).bytes, 0, ErrCorrupt},
		{"no audio", headers().bytes, 0, io.EOF},
		{"cut in a page header", good[:len(good)-20], 2, io.ErrUnexpectedEOF},
		{"cut in a page body", good[:len(good)-2], 2, io.ErrUnexpectedEOF},
		{"a bit flipped in the last page", corrupt(good, -1), 2, ErrCorrupt},
		{"never closed", headers().whole(0, 960, voice).bytes, 1, io.EOF},
		{"something hangs on", append(bytes.Clone(good), "TAG and a zip file PK\x03\x04"...), 3, io.EOF},
		{"no page where one should be", headers().whole(0, 960, voice).raw("Ogg? No, and this is long enough for a page header.").bytes, 1, ErrCorrupt},
		{"chained", append(bytes.Clone(good), good...), 3, ErrChained},
		{"chained before the end", headers().whole(0, 960, voice).whole(firstPage, 0, headers().bytes[28:47]).bytes, 1, ErrChained},
		{"goes on after its end", headers().whole(lastPage, 960, voice).whole(0, 1920, voice).bytes, 1, ErrCorrupt},
		{"page missing", headers().whole(0, 960, voice).add(page{sequence: 1, lacing: []byte{4}, body: voice}).bytes, 1, ErrCorrupt},
		{"joined late", headers().add(page{flags: continued, sequence: 500, granule: 960, lacing: []byte{9, 4}, body: append(make([]byte, 9), voice...)}).bytes, 1, io.EOF},
		{"continues what was complete", headers().whole(0, 960, voice).whole(continued, 960, voice).bytes, 1, ErrCorrupt},
		{"does not continue", headers().add(page{granule: noGranule, lacing: []byte{255}, body: make([]byte, 255)}).whole(0, 960, voice).bytes, 0, ErrCorrupt},
		{"packet without an end", headers().add(page{granule: noGranule, lacing: []byte{255}, body: make([]byte, 255)}).bytes, 0, io.ErrUnexpectedEOF},
		{"empty page within a packet", headers().add(page{granule: noGranule, lacing: []byte{255}, body: append([]byte{0xf8}, make([]byte, 254)...)}).add(page{granule: noGranule}).add(page{flags: continued, granule: 960, lacing: []byte{1}, body: []byte{1}}).bytes, 1, io.EOF},
		{"empty packet", headers().whole(0, 960, voice, nil).bytes, 1, frame.ErrOpus},
		{"not Opus", headers().whole(0, 960, voice, []byte{0xfb, 0x3f, 0}).bytes, 1, frame.ErrOpus},
		{"packet of 1276 bytes", headers().whole(0, 960, bytes.Repeat([]byte{0xf8}, 1276)).bytes, 0, frame.ErrOpus},
		{"frame that was not sent", headers().whole(lastPage, 1920, []byte{0xf8}, voice).bytes, 2, io.EOF},
		{"two frames that were not sent", headers().whole(lastPage, 1920, []byte{0xf9}).bytes, 1, io.EOF},
		{"a single byte that says no time", headers().whole(lastPage, 1920, []byte{0xfb}).bytes, 0, frame.ErrOpus},
		{"another stream beside", beside().bytes, 2, io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			packets, err := drain(iotest.OneByteReader(bytes.NewReader(c.file)))
			if packets != c.packets || !errors.Is(err, c.err) {
				t.Errorf("%d packets, %v; want %d, %v", packets, err, c.packets, c.err)
			}
		})
	}
}

// beside interleaves a stream that is none of ours, as video files do.
func beside() *pages {
	other := page{serial: 5, lacing: []byte{4}, body: []byte("data")}
	first := other
	first.flags = firstPage
	h := headers().bytes
	tags := len(h) - (pageHeaderSize + 1 + 8 + 4 + 4 + 4)
	b := new(pages).add(first).raw(string(h[:tags])).add(first).raw(string(h[tags:])).add(other)
	b.sequence = 2
	b.whole(0, 960, voice).add(other)
	b.sequence = 3
	return b.whole(lastPage, 1920, voice).add(other)
}

// drain reads to the end and asks once more: what ended stays ended.
func drain(in io.Reader) (packets int, err error) {
	r, err := NewReader(in)
	if err != nil {
		return 0, err
	}
	for {
		if _, err = r.Next(); err != nil {
			if _, again := r.Next(); again != err {
				return packets, errors.New("the end did not stay")
			}
			return packets, err
		}
		packets++
	}
}

// endless repeats a page with ever higher numbers.
type endless struct {
	page page
	left []byte
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.left) == 0 {
		e.left = appendPage(nil, &e.page)
		e.page.sequence++
	}
	n := copy(b, e.left)
	e.left, e.read = e.left[n:], e.read+n
	return n, nil
}

func TestEndlessFilesEnd(t *testing.T) {
	filler := bytes.Repeat([]byte{255}, maxLacing)
	big := make([]byte, maxLacing*255)
	copy(big, tagsMagic)
	head := headers().bytes[:47]
	for name, c := range map[string]struct {
		before []byte
		page   page
		want   error
		most   int
	}{
		"empty pages":        {headers().bytes, page{serial: serial, sequence: 2}, ErrEndless, 1 << 18},
		"others' pages":      {headers().bytes, page{serial: 6, lacing: []byte{1}, body: []byte{1}}, ErrEndless, 1 << 18},
		"one packet":         {headers().bytes, page{serial: serial, sequence: 2, flags: continued, lacing: filler, body: big}, ErrEndless, 1 << 29},
		"one packet, opened": {headers().add(page{lacing: []byte{255}, body: big[:255]}).bytes, page{serial: serial, sequence: 3, flags: continued, lacing: filler, body: big}, ErrCorrupt, 1 << 18},
		"tags":               {head, page{serial: serial, sequence: 1, lacing: filler, body: big}, ErrEndless, 1 << 29},
		"beginnings":         {nil, page{flags: firstPage, lacing: []byte{1}, body: []byte{1}}, ErrEndless, 1 << 18},
		"late beginnings":    {head, page{flags: firstPage, lacing: []byte{1}, body: []byte{1}}, ErrEndless, 1 << 18},
	} {
		t.Run(name, func(t *testing.T) {
			source := &endless{page: c.page}
			packets, err := drain(io.MultiReader(bytes.NewReader(c.before), source))
			if packets != 0 || !errors.Is(err, c.want) || source.read > c.most {
				t.Errorf("%d packets, %v after %d bytes", packets, err, source.read)
			}
		})
	}
}

// TestAnyPaging spreads packets over pages in every way that the format allows, and asks pion's reader too.
func TestAnyPaging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want [][]byte
		var lacing, body []byte
		for i := range rapid.IntRange(1, 40).Draw(t, "packets") {
			size := rapid.SampledFrom([]int{2, 60, 254, 255, 256, 509, 510, 1275}).Draw(t, "size")
			p := bytes.Repeat([]byte{byte(i)}, size)
			p[0] = 0xf8
			want = append(want, p)
			lacing, body = appendLacing(lacing, size), append(body, p...)
		}
		b := headers()
		var flags byte
		for len(lacing) > 0 {
			least := 0
			if flags&continued != 0 {
				least = 1 // pion's reader loses its way at an empty page within a packet
			}
			n := min(len(lacing), rapid.IntRange(least, 255).Draw(t, "segments"))
			size := 0
			for _, l := range lacing[:n] {
				size += int(l)
			}
			b.add(page{flags: flags, granule: noGranule, lacing: lacing[:n], body: body[:size]})
			if n > 0 {
				flags = 0
				if lacing[n-1] == 255 {
					flags = continued
				}
			}
			lacing, body = lacing[n:], body[size:]
		}
		r, err := NewReader(bytes.NewReader(b.bytes))
		if err != nil {
			t.Fatal(err)
		}
		theirs, _, err := oggreader.NewWith(bytes.NewReader(b.bytes))
		if err != nil {
			t.Fatal(err)
		}
		theirs.ParseNextPacket() // the tags
		for i, p := range want {
			got, err := r.Next()
			other, _, err2 := theirs.ParseNextPacket()
			if err != nil || err2 != nil || !bytes.Equal(got.Payload, p) || !bytes.Equal(other, p) {
				t.Fatalf("packet %d: %v, %v", i, err, err2)
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Fatal(err)
		}
	})
}

// TestLength follows RFC 7845 §4.4 and §4.5: pre-skip, end trim, and a stream that was joined late.
func TestLength(t *testing.T) {
	long := slices.Repeat([][]byte{voice}, 10) // 9600 samples
	for name, c := range map[string]struct {
		file *pages
		want int64
	}{
		"whole":               {headers().whole(lastPage, 9600, long...), 9600 - EncoderDelay},
		"trimmed":             {headers().whole(0, 9600, long...).whole(lastPage, 9700, voice), 9700 - EncoderDelay},
		"trimmed on one page": {headers().whole(lastPage, 9000, long...), 9000 - EncoderDelay},
		"joined late":         {headers().whole(0, 109600, long...).whole(lastPage, 109700, voice), 9700 - EncoderDelay},
		"claims too much":     {headers().whole(lastPage, 1<<60, long...), 9600 - EncoderDelay},
		"claims nothing":      {headers().whole(lastPage, -5, long...), 0},
		"no time at all":      {headers().whole(0, noGranule, long...), 9600 - EncoderDelay},
	} {
		r, packets := readAll(t, bytes.NewReader(c.file.bytes))
		if r.Length() != c.want || r.Samples() != int64(len(packets))*960 {
			t.Errorf("%s: %d of %d samples, want %d", name, r.Length(), r.Samples(), c.want)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	file := headers()
	for range 100 {
		file.whole(0, noGranule, slices.Repeat([][]byte{bytes.Repeat([]byte{0xf8}, 120)}, 50)...)
	}
	b.SetBytes(int64(len(file.bytes)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := drain(bytes.NewReader(file.bytes)); err != io.EOF {
			b.Fatal(err)
		}
	}
}
