package recorder

import "time"

const tellEvery = time.Second

// seldom bounds what is said of one track: whoever can write into the log must not fill the disk with words about it. The zero value is ready.
type seldom struct {
	last   time.Time
	silent int
}

// tell says whether to speak of n things that happened now, and of how many in all since the last time: of the first at once, then once a second.
func (s *seldom) tell(now time.Time, n int) (all int, speak bool) {
	s.silent += n
	if n == 0 || !s.last.IsZero() && now.Sub(s.last) < tellEvery {
		return 0, false
	}
	all, s.last, s.silent = s.silent, now, 0
	return all, true
}
