package main

import (
	"fmt"
	"time"

	"airloom/internal/frame"
)

// tape is what came through one socket that listens to the past, held against what may come: within a track and epoch every seq at most
// once and in order, and none left out without a word. One goroutine plays it; who reads it waits for that.
type tape struct {
	who, room, from string
	rate            int
	strict          bool // nothing was in its way: live sound has no holes either
	began, liveAt   time.Time
	ended           time.Time
	lanes           map[numbered]*lane
	heard, past     int
	wrong           []string
	again           []string // live packets that came again: wrong, where nobody said them again
	late            []string // live packets that came behind newer ones and not before: wrong, where no fault held them up
	holes           []hole
}

// hole is what was left out; a word about it may come a little later.
type hole struct {
	at       numbered
	from, to uint32
	when     time.Time
	past     bool // before a packet of the past
	live     bool // after the edge had said that live begins
}

// lane is one epoch of one track on a tape.
type lane struct {
	begun      bool
	live       bool  // a live packet came after the edge had said that live begins
	next       int64 // seq after the newest
	told, have frame.Ranges
	key        uint64
}

func newTape(who, room, from string, rate int) *tape {
	return &tape{who: who, room: room, from: from, rate: rate, lanes: map[numbered]*lane{}}
}

func (t *tape) lane(at numbered) *lane {
	l := t.lanes[at]
	if l == nil {
		l = &lane{}
		t.lanes[at] = l
	}
	return l
}

func (t *tape) complain(format string, args ...any) { t.add(&t.wrong, format, args...) }

// add keeps the first few.
func (t *tape) add(to *[]string, format string, args ...any) {
	if len(*to) < 10 {
		*to = append(*to, fmt.Sprintf("%s (from %s, rate %d): ", t.who, t.from, t.rate)+fmt.Sprintf(format, args...))
	}
}

// deaf gives those of these tracks of which no live packet has come since the edge said that live begins.
func (t *tape) deaf(goOn []string) (tracks []string) {
	for _, id := range goOn {
		handle, _ := frame.ParseTrackID(id)
		if l := t.lanes[numbered{handle, 0}]; l == nil || !l.live {
			tracks = append(tracks, id)
		}
	}
	return tracks
}

// end holds what was left out against what the edge said of it. Of what was left out in the last second of a socket the word may be lost with it.
func (t *tape) end() {
	t.ended = time.Now()
	for _, h := range t.holes {
		if !t.strict && time.Since(h.when) < time.Second {
			continue
		}
		told := &t.lane(h.at).told
		for r := range told.Gaps(h.from, h.to) {
			t.complain("track %s epoch %d: seqs %d to %d are left out without a word before %s sound (live had begun: %v)",
				frame.TrackID(h.at.handle), h.at.epoch, r.From, r.To, sort(h.past), h.live)
		}
	}
}

func (t *tape) packets(message []byte) {
	var p frame.Packet
	for len(message) > 0 {
		rest, err := frame.Parse(message, &p)
		if err != nil {
			t.complain("a packet does not parse: %v", err)
			return
		}
		message = rest
		t.packet(&p)
	}
}

func (t *tape) packet(p *frame.Packet) {
	at := numbered{p.Handle, p.Epoch}
	l, past := t.lane(at), p.Flags&frame.Backlog != 0
	t.heard += p.Count()
	if past {
		t.past += p.Count()
	}
	first, last := int64(p.Seq), int64(p.Last())
	if !l.begun && t.from == "start" {
		l.begun = true // every track began after the room's log did
	}
	switch {
	case l.begun && first < l.next && !past:
		to := &t.late
		if l.have.Contains(p.Seq) {
			to = &t.again
		}
		t.add(to, "track %s epoch %d: live seqs %d to %d came after %d had come (before: %v)", frame.TrackID(p.Handle), p.Epoch, first, last, l.next-1, to == &t.again)
		return
	case l.begun && first < l.next:
		t.complain("track %s epoch %d: seqs %d to %d came after %d had come (%s)", frame.TrackID(p.Handle), p.Epoch, first, last, l.next-1, sort(past))
	case l.begun && first > l.next && (past || t.strict):
		t.holes = append(t.holes, hole{at, uint32(l.next), uint32(first - 1), time.Now(), past, !t.liveAt.IsZero()})
	}
	l.begun, l.next, l.live = true, max(l.next, last+1), l.live || !past && !t.liveAt.IsZero()
	l.have.Add(p.Seq, p.Last())
	for f := range p.Frames {
		key, seq, err := heardSound(f.Payload)
		if err != nil || seq != f.Seq {
			t.complain("track %s epoch %d: the bytes of seq %d were never said there", frame.TrackID(p.Handle), p.Epoch, f.Seq)
		}
		if l.key == 0 {
			l.key = key
		}
		if key != l.key && t.from == "start" {
			t.complain("track %s epoch %d: seq %d has the bytes of a later copy", frame.TrackID(p.Handle), p.Epoch, f.Seq)
		}
	}
}

func sort(past bool) string {
	if past {
		return "of the past"
	}
	return "live"
}

// checkRewinds gathers what the tapes have to complain of, and holds those that began in quiet against the log.
func (r *run) checkRewinds(log audioLog, p *promise) {
	heard, past, tapes, plain := 0, 0, 0, 0
	all := r.tracks()
	for _, w := range r.rewinders {
		for _, t := range w.tapes {
			tapes, heard, past = tapes+1, heard+t.heard, past+t.past
			for _, what := range t.wrong {
				p.breaks("%s", what)
			}
			if t.strict || !r.echoed(t.began, t.ended) { // else live packets come as core NATS delivers them, and somebody made it deliver some twice
				plain++
				for _, what := range t.again {
					p.breaks("%s", what)
				}
				if t.strict || !r.disturbed(t.began, t.ended) { // a server that stood still passes on what it had when newer packets have come another way
					for _, what := range t.late {
						p.breaks("%s", what)
					}
				}
			}
			if t.strict {
				t.complete(all, log, p)
			}
		}
	}
	if past == 0 && r.cfg.Rewinders > 0 {
		p.breaks("nobody heard anything of the past")
	}
	p.saw("%d sockets, %d seqs of the past and %d live, on %d sockets nothing live may come twice", tapes, past, heard-past, plain)
}

// complete looks at the tracks that were over before the tape began: from their start on all that the log has was heard. And nothing that the log
// had was told to be missing.
func (t *tape) complete(all map[string]*said, log audioLog, p *promise) {
	for at, l := range t.lanes {
		track := frame.TrackID(at.handle)
		one := all[track]
		if one != nil && one.overAt().Before(t.began) {
			var w wrong
			for seq := int64(0); seq < one.seqs && t.from == "start"; seq++ {
				if logged := len(log[place{track, at.epoch, uint32(seq)}]) > 0; logged && !l.have.Contains(uint32(seq)) {
					w.add("are in the log and were not heard", uint32(seq))
				}
			}
			w.tell(fmt.Sprintf("%s (from %s): track %s", t.who, t.from, track), p)
		}
	}
	for _, one := range all {
		handle, _ := frame.ParseTrackID(one.track)
		logged := len(log[place{one.track, 0, 0}]) > 0
		if t.lanes[numbered{handle, 0}] == nil && logged && t.from == "start" && one.room == t.room && one.overAt().Before(t.began) {
			p.breaks("%s (from %s): nothing of track %s was heard", t.who, t.from, one.track)
		}
	}
}
