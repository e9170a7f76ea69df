package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// othersFor is for how long a survey waits for the rest once one has answered: a replica that is frozen must not hold it up.
const othersFor = 200 * time.Millisecond

// ErrNoReplica says that of a stream's replicas none answers.
var ErrNoReplica = errors.New("no replica answers")

// Sight is what one replica has of what a direct read asks for; the zero Sight is of one that has nothing.
type Sight struct {
	Position uint64    // of the first message
	At       time.Time // when the stream stored it
	Count    uint64    // of the messages from there on, where the request is one for a batch
}

// Survey makes the same direct read eight times at once, each of which any replica may answer; where there is one server only, once. No
// answer says whose it is: of three replicas one is missed with a probability of (2/3)^8, 4 in 100. An error says that some did not answer,
// and wraps ErrNoReplica where none did.
func Survey(ctx context.Context, js jetstream.JetStream, stream string, request []byte) ([]Sight, error) {
	return survey(ctx, js, stream, request, othersFor)
}

func survey(ctx context.Context, js jetstream.JetStream, stream string, request []byte, others time.Duration) (seen []Sight, err error) {
	conn, times := js.Conn(), countings
	if conn.ConnectedClusterName() == "" {
		times = 1
	}
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask the replicas of %s: %w: %w", stream, ErrNoReplica, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	for range times {
		if err := conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, request); err != nil {
			return nil, fmt.Errorf("ask the replicas of %s: %w: %w", stream, ErrNoReplica, err)
		}
	}
	first, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	s, err := nextSight(first, answers)
	if err != nil {
		return nil, fmt.Errorf("ask the replicas of %s: %w: %w", stream, ErrNoReplica, err)
	}
	rest, cancel := context.WithTimeout(ctx, others)
	defer cancel()
	for seen = append(seen, s); len(seen) < times; seen = append(seen, s) {
		if s, err = nextSight(rest, answers); err != nil {
			return seen, fmt.Errorf("ask the replicas of %s: %d of %d answers came: %w", stream, len(seen), times, err)
		}
	}
	return seen, nil
}

// Glance makes a direct read once: it is the word of one replica, whichever answers, and may be less than the truth.
func Glance(ctx context.Context, js jetstream.JetStream, stream string, request []byte) (Sight, error) {
	msg, err := js.Conn().RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, request)
	if err != nil {
		return Sight{}, fmt.Errorf("ask a replica of %s: %w", stream, err)
	}
	return sight(msg)
}

func nextSight(ctx context.Context, answers *nats.Subscription) (Sight, error) {
	for {
		msg, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return Sight{}, err
		}
		if msg.Header.Get("Status") != "204" { // the end of an answer that was counted
			return sight(msg)
		}
	}
}

func sight(msg *nats.Msg) (s Sight, err error) {
	switch status := msg.Header.Get("Status"); status {
	case "":
	case "404":
		return Sight{}, nil
	default:
		return Sight{}, fmt.Errorf("%s %s", status, msg.Header.Get("Description"))
	}
	if s.Position, err = strconv.ParseUint(msg.Header.Get(jetstream.SequenceHeader), 10, 64); err != nil {
		return Sight{}, fmt.Errorf("the answer has no position: %w", err)
	}
	if s.At, err = time.Parse(time.RFC3339Nano, msg.Header.Get(jetstream.TimeStampHeaer)); err != nil {
		return Sight{}, fmt.Errorf("the answer has no time: %w", err)
	}
	s.Count = 1
	if behind, err := strconv.ParseUint(msg.Header.Get("Nats-Num-Pending"), 10, 64); err == nil {
		s.Count += behind
	}
	return s, nil
}

// Count is how many messages a subject has behind a position and up to another, by the replica that has most of those that answer. An
// error is Survey's; most is the word of those that answered then.
func Count(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64) (most uint64, err error) {
	return countFor(ctx, js, stream, on, after, through, othersFor)
}

func countFor(ctx context.Context, js jetstream.JetStream, stream, on string, after, through uint64, others time.Duration) (uint64, error) {
	all, err := pending(ctx, js, stream, on, after+1, others)
	if all == 0 || through >= math.MaxInt64-1 { // behind that there is no position
		return all, err
	}
	behind, later := pending(ctx, js, stream, on, through+1, others) // after that: what comes meanwhile must not look like something missing
	if errors.Is(later, ErrNoReplica) {
		return 0, later
	}
	return all - min(all, behind), errors.Join(err, later)
}

// pending is how many messages a subject has from a position on.
func pending(ctx context.Context, js jetstream.JetStream, stream, on string, from uint64, others time.Duration) (most uint64, err error) {
	seen, err := survey(ctx, js, stream, fmt.Appendf(nil, `{"seq":%d,"next_by_subj":%q,"batch":1}`, from, on), others)
	for _, s := range seen {
		most = max(most, s.Count)
	}
	return most, err
}

// Stand is what a stream's leader says of a subject and of the stream.
type Stand struct {
	Count   uint64 // of the subject's messages that the leader has
	Last    uint64 // the stream's last position
	Whole   bool   // the leader lacks nothing between the stream's beginning and its end: nobody has more
	Current bool   // each replica is there and up to date: what none of them gives is lost
}

// Standing asks a stream's leader how it stands. It needs the right to ask for the stream.
func Standing(ctx context.Context, js jetstream.JetStream, stream, on string) (Stand, error) {
	ctx, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	info, err := AskLeader(ctx, js, stream, jetstream.WithSubjectFilter(on))
	if err != nil {
		return Stand{}, err
	}
	stand := Stand{Last: info.State.LastSeq, Whole: info.State.NumDeleted == 0, Current: current(info.Cluster)}
	for _, n := range info.State.Subjects {
		stand.Count += n
	}
	return stand, nil
}
