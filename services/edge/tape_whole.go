package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/bus"
	"airloom/internal/subject"
)

// A direct read is answered by any replica, and one whose disk was damaged goes on behind its hole as if nothing had been there. So an answer
// is held against the number of messages that other replicas have in the same range, and read again from them where it has fewer.

const wholeReads = 16 // for what a number says is missing: of three replicas one that alone has it answers nearly surely

// answer is what direct reads gave of a subject.
type answer struct {
	got  []*jetstream.RawStreamMsg
	head bool // none of those that answered has more
}

// through is the last position that the answer tells of.
func (a answer) through() uint64 {
	if a.head || len(a.got) == 0 {
		return math.MaxInt64 - 1
	}
	return a.got[len(a.got)-1].Sequence
}

// with takes in another answer from the same position on: what both of them tell of.
func (a answer) with(b answer) answer {
	through := min(a.through(), b.through())
	all := slices.Concat(a.got, b.got)
	slices.SortFunc(all, func(a, b *jetstream.RawStreamMsg) int { return cmp.Compare(a.Sequence, b.Sequence) })
	all = slices.CompactFunc(all, func(a, b *jetstream.RawStreamMsg) bool { return a.Sequence == b.Sequence })
	all = slices.DeleteFunc(all, func(m *jetstream.RawStreamMsg) bool { return m.Sequence > through })
	return answer{all, a.head && b.head}
}

// fetchWhole makes a direct read from a position on, and reads again where some replica has more than the one that answered. That there is
// nothing is believed where it is known to be the end.
func (t *tape) fetchWhole(filter string, batch int, from uint64, end bool) (whole answer, err error) {
	whole.got, whole.head, err = t.fetch(filter, batch, jetstreamext.GetBatchSeq(from))
	if err != nil || end && len(whole.got) == 0 {
		return whole, err
	}
	for range wholeReads {
		lacks, err := t.lacks(filter, from, whole)
		if err != nil || !lacks {
			return whole, err
		}
		var again answer
		if again.got, again.head, err = t.fetch(filter, batch, jetstreamext.GetBatchSeq(from)); err != nil {
			return whole, err
		}
		whole = whole.with(again)
	}
	return whole, nil // what was counted is gone again: too old, or with the replica that had it
}

// lacks says that some replica has more than an answer in the range that this tells of.
func (t *tape) lacks(filter string, from uint64, a answer) (bool, error) {
	through := a.through()
	if t.bus.Conn().ConnectedClusterName() == "" || through-from+1 == uint64(len(a.got)) { // nobody has more
		return false, nil
	}
	most, err := t.count(filter, from, through)
	return most > uint64(len(a.got)), err
}

// count is how many messages there are from one position through another, by the word of several replicas. One that is silent holds up
// nobody.
func (t *tape) count(filter string, from, through uint64) (most uint64, err error) {
	done, err := t.mayAsk()
	if err != nil {
		return 0, err
	}
	defer func() { done(err) }()
	ctx, cancel := context.WithTimeout(t.ctx, 2*readWithin)
	defer cancel()
	most, err = bus.Count(ctx, t.bus.JetStream(), subject.LogStream(t.region), filter, from-1, through)
	if errors.Is(err, bus.ErrNoReplica) {
		return 0, fmt.Errorf("count what the audio log has: %w", errors.Join(errLogSilent, err))
	}
	return most, nil
}

// survey asks several replicas at once for the first message of a kind.
func (t *tape) survey(request []byte) (seen []bus.Sight, err error) {
	done, err := t.mayAsk()
	if err != nil {
		return nil, err
	}
	defer func() { done(err) }()
	ctx, cancel := context.WithTimeout(t.ctx, readWithin)
	defer cancel()
	seen, err = bus.Survey(ctx, t.bus.JetStream(), subject.LogStream(t.region), request)
	if len(seen) == 0 {
		return nil, fmt.Errorf("ask the audio log: %w", errors.Join(errLogSilent, err))
	}
	return seen, nil
}

// glance asks any one replica, whose word may be less than the truth; who gets no answer asks several. One that is silent tells nothing of the log.
func (t *tape) glance(request []byte) (bus.Sight, error) {
	done, err := t.mayAsk()
	if err != nil {
		return bus.Sight{}, err
	}
	defer done(nil)
	ctx, cancel := context.WithTimeout(t.ctx, glanceFor)
	defer cancel()
	return bus.Glance(ctx, t.bus.JetStream(), subject.LogStream(t.region), request)
}

// earliest is the first position that any of the replicas has; the zero Sight where none has one.
func earliest(seen []bus.Sight) (first bus.Sight) {
	for _, s := range seen {
		if s.Position != 0 && (first.Position == 0 || s.Position < first.Position) {
			first = s
		}
	}
	return first
}
