package bus

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// asked is how often a message that one replica lacks is asked for by direct reads, which a random replica answers. Of three
	// replicas the one that has it is passed over with a probability of (2/3)^32: once in 400,000 holes.
	asked         = 32
	replyPatience = 2 * time.Second
)

// Stored is a message of a stream.
type Stored struct {
	Position uint64
	At       time.Time // when the stream stored it
	Subject  string
	Header   nats.Header
	Data     []byte
}

// Span is the positions From to To of a stream, both included.
type Span struct{ From, To uint64 }

// Len is the number of positions.
func (s Span) Len() uint64 { return s.To - s.From + 1 }

// unsure says that not every replica can be asked now, so that nothing can be said of what is not found.
type unsure struct {
	next uint64 // the nearest message behind it that somebody has, or 0
}

func (unsure) Error() string { return "not every replica answers" }

// Recover hands over the messages of a span that any replica of the stream has, in order. lost is what none of them has: if err is
// nil, all of them could be asked. It needs the rights of reading directly and of asking the leader.
func Recover(ctx context.Context, js jetstream.JetStream, stream string, span Span, each func(Stored) bool) (lost []Span, err error) {
	for at := span.From; at <= span.To && at != 0; {
		m, next, err := find(ctx, js, stream, at)
		if err != nil {
			return lost, fmt.Errorf("read %d of %s from another replica: %w", at, stream, err)
		}
		if m == nil {
			to := span.To
			if next != 0 {
				to = min(to, next-1)
			}
			lost = append(lost, Span{at, to})
			at = to + 1
			continue
		}
		if !each(*m) {
			return lost, nil
		}
		at++
	}
	return lost, nil
}

// find asks the leader and the others for the message at a position. Where nobody has it, next is the nearest one behind it that
// anybody has, or 0.
func find(ctx context.Context, js jetstream.JetStream, stream string, at uint64) (m *Stored, next uint64, err error) {
	request := []byte(fmt.Sprintf(`{"seq":%d,"next_by_subj":">"}`, at))
	failed := false
	for try := range asked + 1 {
		ask := direct
		if try == 1 { // a direct read is likely to find it, and the leader is the one that may be spared
			ask = OfLeader
		}
		got, err := ask(ctx, js, stream, request)
		switch {
		case ctx.Err() != nil:
			return nil, 0, ctx.Err()
		case err != nil:
			failed = true
			if try > 2 {
				return nil, 0, err
			}
		case got == nil: // nothing at this position or behind it
		case got.Position == at:
			return got, 0, nil
		case next == 0 || got.Position < next:
			next = got.Position
		}
	}
	if failed || !complete(ctx, js, stream) {
		return nil, 0, unsure{next}
	}
	return nil, next, nil
}

// direct reads from a replica that NATS chooses; nil where it has nothing.
func direct(ctx context.Context, js jetstream.JetStream, stream string, request []byte) (*Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("read directly: %w", err)
	}
	if status := reply.Header.Get("Status"); status != "" {
		if status == "404" {
			return nil, nil
		}
		return nil, fmt.Errorf("read directly: %s %s", status, reply.Header.Get("Description"))
	}
	position, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read directly: the answer has no position: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, reply.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("read directly: the answer has no time: %w", err)
	}
	m := &Stored{Position: position, At: at, Subject: reply.Header.Get(jetstream.SubjectHeader), Data: reply.Data, Header: reply.Header}
	for _, own := range []string{jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer} {
		m.Header.Del(own)
	}
	if len(m.Header) == 0 {
		m.Header = nil
	}
	return m, nil
}

const notFound = 10037 // the stream is there and has nothing of the kind

// OfLeader reads from the stream's leader, with a request of its API; nil where it has nothing.
func OfLeader(ctx context.Context, js jetstream.JetStream, stream string, request []byte) (*Stored, error) {
	ctx, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	reply, err := js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, request)
	if err != nil {
		return nil, fmt.Errorf("ask the leader: %w", err)
	}
	var answer struct {
		Error *struct {
			Code int    `json:"err_code"`
			Text string `json:"description"`
		} `json:"error"`
		Message struct {
			Subject string    `json:"subject"`
			Seq     uint64    `json:"seq"`
			Header  []byte    `json:"hdrs"`
			Data    []byte    `json:"data"`
			Time    time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("ask the leader: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.Code == notFound:
		return nil, nil
	case answer.Error != nil:
		return nil, fmt.Errorf("ask the leader: %s", answer.Error.Text)
	}
	m := &Stored{Position: answer.Message.Seq, At: answer.Message.Time, Subject: answer.Message.Subject, Data: answer.Message.Data}
	if len(answer.Message.Header) > 0 {
		if m.Header, err = nats.DecodeHeadersMsg(answer.Message.Header); err != nil {
			return nil, fmt.Errorf("ask the leader: %w", err)
		}
	}
	return m, nil
}

// complete says whether every replica of a stream is there and up to date, by the word of its leader: only then what nobody has
// is lost, and not merely away.
func complete(ctx context.Context, js jetstream.JetStream, stream string) bool {
	ctx, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	info, err := AskLeader(ctx, js, stream)
	return err == nil && current(info.Cluster)
}

func current(cluster *jetstream.ClusterInfo) bool {
	if cluster == nil {
		return true
	}
	for _, r := range cluster.Replicas {
		if r.Offline || !r.Current {
			return false
		}
	}
	return true
}
