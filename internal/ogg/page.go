package ogg

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	pageMagic      = "OggS"
	pageHeaderSize = 27
	maxLacing      = 255
	maxPage        = pageHeaderSize + maxLacing + maxLacing*255

	continued   = 1 // the page begins within a packet
	firstPage   = 2 // of its stream
	lastPage    = 4 // of its stream
	noGranule   = -1
	crcPosition = 22
)

// page is one Ogg page (RFC 3533 §6). lacing and body alias the buffer it was read into; take eats them up.
type page struct {
	flags    byte
	granule  int64 // samples up to the end of the last packet that ends here, noGranule if none does
	serial   uint32
	sequence uint32
	lacing   []byte
	body     []byte
}

// take returns the next packet, or the part of one, that the page holds. whole is false when it goes on in the next
// page; ok is false when the page is eaten up.
func (p *page) take() (part []byte, whole, ok bool) {
	size := 0
	for i, n := range p.lacing {
		size += int(n)
		if n < 255 || i == len(p.lacing)-1 {
			part, p.body = p.body[:size:size], p.body[size:]
			p.lacing = p.lacing[i+1:]
			return part, n < 255, true
		}
	}
	return nil, false, false
}

// readPage reads a page into buf. io.EOF means that there is nothing more, ErrNotOgg that something other than a page
// follows.
func readPage(in io.Reader, buf *[maxPage]byte) (page, error) {
	header := buf[:pageHeaderSize]
	n, err := io.ReadFull(in, header)
	if n > 0 && string(header[:min(n, 4)]) != pageMagic[:min(n, 4)] {
		return page{}, ErrNotOgg
	}
	if err != nil {
		return page{}, err
	}
	if header[4] != 0 {
		return page{}, fmt.Errorf("%w: page format %d", ErrCorrupt, header[4])
	}
	body := pageHeaderSize + int(header[26])
	if _, err := io.ReadFull(in, buf[pageHeaderSize:body]); err != nil {
		return page{}, cutShort(err)
	}
	end := body
	for _, n := range buf[pageHeaderSize:body] {
		end += int(n)
	}
	if _, err := io.ReadFull(in, buf[body:end]); err != nil {
		return page{}, cutShort(err)
	}
	want := binary.LittleEndian.Uint32(header[crcPosition:])
	clear(header[crcPosition : crcPosition+4])
	if checksum(buf[:end]) != want {
		err = fmt.Errorf("%w of page %d", errChecksum, binary.LittleEndian.Uint32(header[18:]))
	}
	return page{
		flags:    header[5],
		granule:  int64(binary.LittleEndian.Uint64(header[6:])),
		serial:   binary.LittleEndian.Uint32(header[14:]),
		sequence: binary.LittleEndian.Uint32(header[18:]),
		lacing:   buf[pageHeaderSize:body],
		body:     buf[body:end],
	}, err
}

// errChecksum comes with the page as it was read.
var errChecksum = fmt.Errorf("%w: checksum", ErrCorrupt)

// appendPage writes a page. lacing has at most 255 values, which add up to the length of body.
func appendPage(dst []byte, p *page) []byte {
	start := len(dst)
	dst = append(dst, pageMagic...)
	dst = append(dst, 0, p.flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.granule))
	dst = binary.LittleEndian.AppendUint32(dst, p.serial)
	dst = binary.LittleEndian.AppendUint32(dst, p.sequence)
	dst = append(dst, 0, 0, 0, 0, byte(len(p.lacing)))
	dst = append(dst, p.lacing...)
	dst = append(dst, p.body...)
	binary.LittleEndian.PutUint32(dst[start+crcPosition:], checksum(dst[start:]))
	return dst
}

// appendLacing writes the lacing values of a packet of n bytes (RFC 3533 §5): 255 for every 255 bytes, then the rest.
func appendLacing(dst []byte, n int) []byte {
	for ; n >= 255; n -= 255 {
		dst = append(dst, 255)
	}
	return append(dst, byte(n))
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// crcTable is for the polynomial 0x04c11db7 with the highest bit first (RFC 3533 §6), which hash/crc32 does not do.
var crcTable = func() (table [256]uint32) {
	for i := range table {
		crc := uint32(i) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()

func checksum(b []byte) (crc uint32) {
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>24)^c]
	}
	return crc
}
