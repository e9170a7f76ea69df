package ogg

import (
	"bytes"
	"fmt"
)

// findHead reads the pages with which streams begin, all of which come before any other page (RFC 3533 §4), up to the
// first that is Opus.
func (r *Reader) findHead() error {
	for range maxIdlePages {
		p, err := readPage(r.in, &r.buf)
		if err != nil {
			return cutShort(err)
		}
		if p.flags&firstPage == 0 {
			return ErrNotOpus
		}
		packet, whole, _ := p.take()
		if !bytes.HasPrefix(packet, []byte(headMagic)) {
			continue
		}
		if !whole || len(p.lacing) > 0 {
			return fmt.Errorf("%w: OpusHead does not have a page of its own", ErrCorrupt)
		}
		r.serial, r.sequence = p.serial, p.sequence
		r.head, err = parseHead(packet)
		return err
	}
	return ErrEndless
}

// skipTags reads over the second packet, which may go on for many pages, without keeping it.
func (r *Reader) skipTags() error {
	begun := false
	for {
		if err := r.nextTagsPage(); err != nil {
			return err
		}
		part, whole, ok := r.page.take()
		if !ok {
			continue
		}
		if !begun && !bytes.HasPrefix(part, []byte(tagsMagic)) {
			return fmt.Errorf("%w: no OpusTags after OpusHead", ErrCorrupt)
		}
		begun = true
		if whole {
			return r.endTags()
		}
	}
}

// nextTagsPage is nextPage, but passes over the beginnings of other streams.
func (r *Reader) nextTagsPage() error {
	for {
		err := r.nextPage()
		if err != ErrChained {
			return err
		}
	}
}

func (r *Reader) endTags() error {
	if len(r.page.lacing) > 0 {
		return fmt.Errorf("%w: audio on the page where OpusTags end", ErrCorrupt)
	}
	r.idle = 0
	return nil
}
