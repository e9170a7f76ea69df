package participant

import (
	"context"
	"encoding/json"
	"time"

	"airloom/internal/frame"
	"airloom/internal/room"
)

// Playback is where this listener's sound is (docs/wire.md section 4).
type Playback struct {
	State   string    // "past", "waiting" or "live"
	At      time.Time // when the log took what is heard
	From    time.Time // from when to when the room's sound can be heard; both zero while nothing is kept
	To      time.Time
	Rate    float64
	Clamped string // "before_window", "after_window": the place that was asked for is not to be had
}

const (
	stateLive = "live"
	// overlap is how long before the last sound a listener goes on that has lost its socket at the live edge: the clocks of
	// edge and log need not agree.
	overlap = 3 * time.Second
)

// past is how a listener that began in the past stands. The Participant's mu guards it.
type past struct {
	from     string // what was asked for last; "" while it is plain live listening
	rate     float64
	playback Playback
	told     bool      // there is a playback
	heard    time.Time // when a packet last came
	asked    time.Time // when a place was asked for; zero once sound has come from there
	again    int64     // id of the request that goes on where this listener was; 0: none
	seek     time.Duration
}

// pastTrack describes a track that the roster no longer tells of.
type pastTrack struct {
	room.TrackInfo
	Session     string `json:"session"`
	Identity    string `json:"identity"`
	Participant string `json:"participant"`
}

// place is the `from` of a hello: where the listener was when its last socket went, and what was asked for before there was one.
// The caller holds mu.
func (p *Participant) place(now time.Time) (from string, rate float64) {
	at := p.past.playback.At
	switch {
	case !p.cfg.Listen || p.past.from == "":
		return "", 0
	case !p.past.told:
		p.past.asked = now
		return p.past.from, p.past.rate
	case p.past.playback.State == stateLive && p.past.heard.After(at):
		at = p.past.heard.Add(p.offset - overlap)
	case p.past.playback.State == stateLive:
		at = at.Add(-overlap)
	}
	return at.UTC().Format(time.RFC3339Nano), p.past.rate
}

// Playback is where this listener's sound is; ok is false for one that listens live, or not at all, since it joined.
func (p *Participant) Playback() (now Playback, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.past.playback, p.past.told
}

// SeekTime is how long it took from asking for a place (joining with Config.From, Seek) to its first packet; 0: none has come.
func (p *Participant) SeekTime() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.past.seek
}

// Seek goes to another place: "live", "start", a duration back from now ("-30s") or a time (RFC 3339). rate is how many seconds of
// sound the edge sends in a second, 1–16; 0: 1. What was heard before is heard again if it lies behind the place. An *Error
// comes back where the place or the rate is refused, or nothing is kept (not_kept).
func (p *Participant) Seek(ctx context.Context, from string, rate float64) (Playback, error) {
	p.mu.Lock()
	p.past.asked, p.past.seek = time.Now(), 0
	p.mu.Unlock()
	in, err := p.request(ctx, func(id int64) any {
		return listen{Type: "listen", ID: id, On: true, From: from, Rate: rate}
	})
	if err != nil {
		return Playback{}, err
	}
	p.mu.Lock()
	p.past.from, p.past.rate = from, rate
	p.mu.Unlock()
	return in.asPlayback(), nil
}

// asPlayback is a message as a Playback.
func (in *inbound) asPlayback() Playback {
	b := Playback{State: in.State, At: in.At, Rate: in.Rate, Clamped: in.Clamped}
	if in.Window.From != nil && in.Window.To != nil {
		b.From, b.To = *in.Window.From, *in.Window.To
	}
	return b
}

// played takes a playback message. What a socket says whose place another one has taken counts no more: its requests are asked again
// there.
func (p *Participant) played(l *link, in *inbound) {
	p.noticing.Lock()
	defer p.noticing.Unlock()
	b := in.asPlayback()
	if !p.takePlayback(l, in, b) {
		return
	}
	if in.Re != 0 {
		p.answer(in)
	}
	p.tell(Notice{Kind: Played, Playback: &b})
}

// takePlayback brings place and receiver up to a playback message. The answer to a request says that what follows is from another
// place, unless it was asked to go on. It returns false for a socket that is not the current one; a next one becomes that before the
// receiver is readied for it, so nothing of this one comes in between.
func (p *Participant) takePlayback(l *link, in *inbound, b Playback) bool {
	var described []pastTrack
	if len(in.Tracks) > 0 {
		if err := json.Unmarshal(in.Tracks, &described); err != nil {
			p.log.Debug("tracks of the past do not decode", "err", err)
		}
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.mu.Lock()
	if p.link != l {
		p.mu.Unlock()
		return false
	}
	goesOn := in.Re != 0 && in.Re == p.past.again
	p.past.playback, p.past.told = b, true
	p.mu.Unlock()
	switch {
	case goesOn:
		p.receiver.Again()
	case in.Re != 0:
		p.receiver.Restart()
	}
	p.receiver.InPast(b.State != stateLive)
	for _, t := range described {
		if one := p.receiver.Announce(t.TrackInfo, t.Identity, t.Participant, false); one != nil {
			p.receiver.end(one)
		}
	}
	return true
}

// sounded notes that a binary message has come.
func (p *Participant) sounded(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.past.heard = now
	if !p.past.asked.IsZero() {
		p.past.seek, p.past.asked = now.Sub(p.past.asked), time.Time{}
	}
}

// InPast says that what comes is from the past: tracks that are over have not ended before all of it is heard.
func (r *Receiver) InPast(past bool) {
	r.past = past
	if past {
		return
	}
	r.again = false
	for _, t := range r.order {
		t.Ended, t.over = t.Ended || t.over, false
	}
}

// end notes that a track is over.
func (r *Receiver) end(t *Incoming) {
	if r.past {
		t.over = true
		return
	}
	t.Ended = true
}

// Again says that frames which were heard may come again, flagged BACKLOG, because the listener goes on where it was on another
// socket: until the live edge they are not doubles.
func (r *Receiver) Again() { r.past, r.again = true, true }

// Restart says that what follows is from another place, perhaps one that was heard before.
func (r *Receiver) Restart() {
	r.again = false
	for _, t := range r.order {
		r.flush(t)
		t.past, t.epoch, t.Whole = t.Missing(), numbering{}, false
	}
}

// begin takes up an epoch at a seq of which the edge says that it will not come.
func (t *Incoming) begin(epoch uint8, from int64) {
	t.epoch = numbering{begun: true, number: epoch, first: uint32(from), next: from}
}

// Skip says that this listener will not get those of the seqs from..to that it does not have yet.
func (r *Receiver) Skip(handle uint32, epoch uint8, from, to int64) {
	t := r.tracks[handle]
	if from < 0 || to < from || to > frame.MaxSeq {
		return
	}
	if t == nil {
		if t = r.track(handle); t == nil {
			return
		}
	}
	e := &t.epoch
	switch {
	case !e.begun && r.past:
		t.begin(epoch, from)
	case !e.begun || e.number != epoch || to < e.next:
		return
	}
	if r.past && e.next == from && e.have.Count() == 0 { // nothing was heard: the hole is all there is, and counts
		t.past += uint64(to - from + 1)
		e.first = uint32(to) + 1
	}
	r.advance(t, to+1)
}

// goOn readies the receiver, after a welcome, for what it hears again.
func (p *Participant) goOn() {
	p.mu.Lock()
	again := p.past.from != "" && p.past.told
	p.mu.Unlock()
	if !again {
		return
	}
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.receiver.Again()
}

// noPast is for a room that keeps nothing: the edge lets who wanted its past listen live.
func (p *Participant) noPast() {
	p.mu.Lock()
	p.past.from = ""
	p.mu.Unlock()
	p.hearing.Lock()
	defer p.hearing.Unlock()
	p.receiver.InPast(false)
}
