package recorder

import "airloom/internal/frame"

// maxOpen is how many segments of a track are held open; a hole that stays keeps one open to the track's end.
const maxOpen = 64

// putAside keeps the track's memory bounded, given that the log has been read up to a position: what has waited longest is forgotten, and
// read from the log again when the track is over. Once all is read that counts, nothing is put aside: what was is being taken back.
func (f *follow) putAside(most int, read uint64) {
	if f.closing != nil && f.closing.through <= read {
		return
	}
	open := 0
	for _, e := range f.epochs {
		open += len(e.open)
	}
	for id := 0; open > most && id < 256; {
		if e := f.epochs[uint8(id)]; e != nil && e.putAside() {
			f.doubtful = f.doubtful || (f.ended || f.held) && f.closing == nil
			open--
			continue
		}
		id++
	}
}

// forgetOpen is for a closing that lies before things which were put aside: of what is forgotten nobody knows any more what counts. So all that
// is not closed is read once more.
func (f *follow) forgetOpen() {
	for id, e := range f.epochs {
		if oldest := e.oldest(); oldest > 0 && (f.anewFrom == 0 || oldest < f.anewFrom) {
			f.anewFrom = oldest
		}
		if e.done.Len() == 0 && e.corrupt.Len() == 0 && e.oldest() > f.closing.through {
			delete(f.epochs, id)
			continue
		}
		clear(e.open)
		e.aside = frame.Ranges{}
	}
}

// takeBack opens at most so many of the segments that were put aside. after is the log position behind which they lie; ok is false
// where there are none.
func (f *follow) takeBack(most int) (after uint64, ok bool) {
	for _, id := range f.ids() {
		if e := f.epochs[id]; e != nil && e.aside.Len() > 0 {
			e.takeBack(most)
			return e.asideFrom - 1, true
		}
	}
	return 0, false
}
