package edge

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

const (
	readWithin = 2 * time.Second // for the log to answer
	silentFor  = 200 * time.Millisecond
	mendTries  = 5 // direct reads are answered by any replica: another one may have what one has lost
	mendPause  = 20 * time.Millisecond
	mendPacks  = 1000
	mendReads  = 64              // of one look
	noneFor    = 3 * time.Second // that nobody has a hole's packs is believed for so long: a replica may come back
)

var errTornAnswer = errors.New("the answer's first message was lost on its way")

// mayAsk waits for its turn to ask the log; done takes what came of it.
func (t *tape) mayAsk() (done func(error), err error) {
	select {
	case t.reading <- struct{}{}:
	case <-t.ctx.Done():
		return nil, t.ctx.Err()
	}
	if nanotime() < t.silent.Load() { // hundreds may ask: one finds out, the others are told
		<-t.reading
		return nil, fmt.Errorf("read the audio log: %w", errLogSilent)
	}
	return func(err error) {
		if err != nil {
			t.silent.Store(nanotime() + int64(silentFor))
		}
		<-t.reading
	}, nil
}

// fetch makes one direct read of the log; head says that the replica that answered has no more of the kind. What it gives has no message
// too few in the middle: behind one that was lost it ends.
func (t *tape) fetch(filter string, batch int, where jetstreamext.GetBatchOpt) (got []*jetstream.RawStreamMsg, head bool, err error) {
	done, err := t.mayAsk()
	if err != nil {
		return nil, false, err
	}
	defer func() { done(err) }()
	t.metrics.tapeReads.Add(1)
	ctx, cancel := context.WithTimeout(t.ctx, readWithin)
	defer cancel()
	messages, err := jetstreamext.GetBatch(ctx, t.bus.JetStream(), subject.LogStream(t.region), batch,
		jetstreamext.GetBatchSubject(filter), jetstreamext.GetBatchMaxBytes(spanBytes), where)
	if err != nil {
		return nil, false, fmt.Errorf("read the audio log: %w", err)
	}
	sent := uint64(0)
	for msg, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return nil, true, nil
		case err != nil && len(got) == 0:
			return nil, false, fmt.Errorf("read the audio log: %w", err)
		case err != nil:
			return got, false, nil // what came is good; the rest is asked for again
		}
		if before, ok := bus.SentBefore(msg.Header); ok && before != sent { // one was lost on its way
			if len(got) == 0 {
				return nil, false, fmt.Errorf("read the audio log: %w", errTornAnswer)
			}
			return got, false, nil
		}
		sent = msg.Sequence
		got = append(got, msg)
	}
	if len(got) == 0 { // the time is over, and nothing has come
		return nil, false, fmt.Errorf("read the audio log: %w", errLogSilent)
	}
	pending, err := strconv.Atoi(got[len(got)-1].Header.Get("Nats-Num-Pending"))
	return got, err == nil && pending == 0, nil
}

// fetchSpan reads a span, of which no replica has more; its through is below its from where there is nothing.
func (r *reel) fetchSpan(from uint64) (*span, bool, error) {
	t := r.tape
	t.mu.Lock()
	end := r.end.holds(int64(from), noneFor)
	t.mu.Unlock()
	whole, err := t.fetchWhole(r.filter, spanPacks, from, end)
	if err != nil {
		return nil, false, err
	}
	s := &span{reel: r, from: from, through: from - 1}
	for _, msg := range whole.got {
		s.pieces = append(s.pieces, r.take(msg)...)
		s.through = msg.Sequence
	}
	if whole.head && (len(whole.got) > 0 || !end) {
		t.mu.Lock()
		r.end = emptiness{from: int64(s.through) + 1, at: nanotime()}
		t.mu.Unlock()
	}
	return s, whole.head, nil
}

func (r *reel) take(msg *jetstream.RawStreamMsg) []*piece {
	all, bad := pieces(subject.Parse(msg.Subject).Track, msg.Data, msg.Sequence, msg.Time)
	for range bad {
		r.tape.metrics.drop("bad_packet")
	}
	return all
}

// seek gives the position of the room's first pack at or after a second; 0 where there is none yet.
func (r *reel) seek(second int64) (uint64, error) {
	t := r.tape
	t.mu.Lock()
	known, quiet := r.found[second], r.sought.covers(second)
	t.mu.Unlock()
	if known != 0 || quiet {
		return known, nil
	}
	found, err, _ := r.flights.Do("seek "+strconv.FormatInt(second, 10), func() (any, error) {
		at := time.Unix(second, 0).UTC().Format(time.RFC3339)
		seen, err := t.survey(fmt.Appendf(nil, `{"start_time":%q,"next_by_subj":%q,"batch":1}`, at, r.filter))
		if err != nil {
			return uint64(0), err
		}
		first := earliest(seen).Position
		t.mu.Lock()
		defer t.mu.Unlock()
		if first == 0 {
			r.sought = emptiness{from: second, at: nanotime()}
			return uint64(0), nil
		}
		if len(r.found) >= maxSeeks {
			clear(r.found)
		}
		r.found[second] = first
		return first, nil
	})
	return found.(uint64), err
}

// hole is a range of seqs that the log seems not to have.
type hole struct {
	track    string
	epoch    uint8
	from, to uint32
}

// mending is what was found for a hole.
type mending struct {
	found []*piece
	at    int64 // monotonic ns
}

// holds says that it need not be looked for again.
func (m mending) holds() bool {
	return len(m.found) > 0 || m.at != 0 && nanotime()-m.at < int64(noneFor)
}

// mend reads the log between two positions again for a hole, several times. What it finds is given, and remembered for
// others who come to the same place; that there is nothing is remembered for a moment.
func (r *reel) mend(h hole, after, before uint64) ([]*piece, error) {
	t := r.tape
	t.mu.Lock()
	known := r.mended[h]
	t.mu.Unlock()
	if known.holds() {
		return known.found, nil
	}
	found, err, _ := r.flights.Do(fmt.Sprintf("mend %v", h), func() (any, error) {
		var found []*piece
		var err error
		for try := range mendTries {
			if try > 0 && pause(t.ctx, mendPause) != nil {
				break
			}
			if found, err = r.look(h, after, before); len(found) > 0 {
				break
			}
		}
		if err != nil {
			return found, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(r.mended) >= maxSeeks {
			clear(r.mended)
		}
		r.mended[h] = mending{found, nanotime()}
		return found, nil
	})
	return found.([]*piece), err
}

// look reads one track's packs between two positions, in as many reads as that takes.
func (r *reel) look(h hole, after, before uint64) (found []*piece, err error) {
	for range mendReads {
		got, head, err := r.tape.fetch(subject.LogTrack(r.room, h.track), mendPacks, jetstreamext.GetBatchSeq(after+1))
		if err != nil {
			return found, err
		}
		for _, msg := range got {
			if after = msg.Sequence; after >= before {
				return found, nil
			}
			for _, p := range r.take(msg) {
				if p.epoch == h.epoch && p.first <= h.to && p.last >= h.from {
					found = append(found, p)
				}
			}
		}
		if head || len(got) == 0 || after+1 >= before {
			return found, nil
		}
	}
	return found, nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
