package eventlog

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"airloom/internal/room"
	"airloom/internal/subject"
)

const (
	snapshotVersion  = 1                // of the form in which a snapshot is stored
	partSize         = 512 << 10        // bytes of one message: what a NATS server takes without being told to (1 MiB) holds it
	maxParts         = 500              // of one snapshot; a batch takes no more than 1,000 messages
	maxSnapshot      = 1 << 30          // bytes of a snapshot unpacked
	snapshotPatience = 2 * time.Second  // for reading a snapshot; folding from the beginning needs nobody's leave
	snapshotRest     = 30 * time.Second // for how long nobody asks again for what was not answered
)

// errSnapshot says that what is stored is not a snapshot that this build can use. It costs time, never truth.
var errSnapshot = errors.New("the snapshot cannot be used")

// head is the first line of a snapshot's first message; what follows the line, and the messages on the parts' subjects, is the
// packed state.
type head struct {
	Version  int    `json:"version"`
	Room     string `json:"room"`
	Position uint64 `json:"position"` // of the newest event in it
	Parts    int    `json:"parts"`    // messages, this one included
	Size     int    `json:"size"`     // bytes, packed
	SHA256   string `json:"sha256"`   // hex, of the packed bytes
}

// stored is a snapshot as the stream has it.
type stored struct {
	seq   uint64 // of its first message in the stream of snapshots; 0: there is none
	parts int    // messages on parts' subjects

	state    *room.State // nil: it cannot be used
	position uint64      // of the state as it was read
}

// packing holds what packs and unpacks; both are safe for use by many.
var packing = sync.OnceValues(func() (*zstd.Encoder, *zstd.Decoder) {
	// Made once, with fixed options that are right: neither can fail.
	encoder, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	decoder, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSnapshot))
	return encoder, decoder
})

// pack makes the messages of a snapshot: the first one, and those of its further parts.
func pack(state *room.State) (first []byte, parts [][]byte, err error) {
	plain, err := state.Snapshot()
	if err != nil {
		return nil, nil, err
	}
	encoder, _ := packing()
	packed := encoder.EncodeAll(plain, nil)
	sum := sha256.Sum256(packed)
	h := head{Version: snapshotVersion, Room: state.Room, Position: state.Position, Size: len(packed), SHA256: hex.EncodeToString(sum[:])}
	if h.Parts = partsOf(len(packed)); h.Parts > maxParts {
		return nil, nil, fmt.Errorf("pack snapshot of %s: %d bytes are more than %d messages hold", state.Room, len(packed), maxParts)
	}
	line, err := json.Marshal(h)
	if err != nil {
		return nil, nil, fmt.Errorf("pack snapshot of %s: %w", state.Room, err)
	}
	own := packed[:min(partSize, len(packed))]
	first = append(append(line, '\n'), own...)
	for rest := packed[len(own):]; len(rest) > 0; rest = rest[min(partSize, len(rest)):] {
		parts = append(parts, rest[:min(partSize, len(rest))])
	}
	return first, parts, nil
}

func partsOf(size int) int { return max(1, (size+partSize-1)/partSize) }

// readHead takes the first message apart.
func readHead(message []byte) (h head, own []byte, err error) {
	line, own, ok := bytes.Cut(message, []byte{'\n'})
	if !ok {
		return h, nil, fmt.Errorf("%w: its first line has no end", errSnapshot)
	}
	if err := json.Unmarshal(line, &h); err != nil {
		return h, nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if h.Version != snapshotVersion {
		return h, nil, fmt.Errorf("%w: it is stored in form %d, this build knows %d", errSnapshot, h.Version, snapshotVersion)
	}
	if h.Parts > maxParts || h.Size < 0 || h.Parts != partsOf(h.Size) {
		return h, nil, fmt.Errorf("%w: %d parts, %d bytes", errSnapshot, h.Parts, h.Size)
	}
	return h, own, nil
}

// unpack makes a state out of a snapshot's first message and its further parts, by their numbers.
func unpack(message []byte, parts map[int][]byte, name string, defaults room.Settings) (*room.State, error) {
	h, own, err := readHead(message)
	if err != nil {
		return nil, err
	}
	packed := own
	if h.Parts > 1 {
		packed = append(make([]byte, 0, h.Size), own...)
		for n := 1; n < h.Parts; n++ {
			packed = append(packed, parts[n]...)
		}
	}
	if sum := sha256.Sum256(packed); len(packed) != h.Size || hex.EncodeToString(sum[:]) != h.SHA256 {
		return nil, fmt.Errorf("%w: its bytes are damaged, or its parts are of different ones", errSnapshot)
	}
	_, decoder := packing()
	plain, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: unpack: %w", errSnapshot, err)
	}
	state, err := room.Restore(plain, name, defaults)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	if state.Position != h.Position {
		return nil, fmt.Errorf("%w: it ends at %d and says %d", errSnapshot, state.Position, h.Position)
	}
	return state, nil
}

// readSnapshot reads the newest snapshot of a room. Where it cannot be used the error says why, and seq still tells where it is;
// where there is none both are zero.
func (l *Log) readSnapshot(ctx context.Context, name string) (stored, error) {
	if time.Now().UnixNano() < l.restUntil.Load() {
		return stored{}, nil
	}
	for try := 1; ; try++ {
		s, err := l.readParts(ctx, name)
		if err == nil || !unusable(err) || s.parts == 0 || try == 3 {
			return s, err
		} // parts of two snapshots meet where a newer one is just being written
	}
}

func (l *Log) readParts(ctx context.Context, name string) (s stored, err error) {
	patience, cancel := context.WithTimeout(ctx, snapshotPatience)
	defer cancel()
	messages, err := jetstreamext.GetLastMsgsFor(patience, l.bus.JetStream(), subject.SnapshotStream(l.region),
		[]string{subject.Snapshot(l.region, name), subject.SnapshotParts(l.region, name)})
	if err != nil {
		return s, fmt.Errorf("read snapshot of %s: %w: %w", name, ErrAway, err)
	}
	var first []byte
	parts := map[int][]byte{}
	for msg, err := range messages {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			l.answered.Store(true)
			return s, nil
		}
		if err != nil {
			return s, fmt.Errorf("read snapshot of %s: %w: %w", name, ErrAway, err)
		}
		if n, err := strconv.Atoi(subject.Parse(msg.Subject).ID); err == nil {
			parts[n] = msg.Data
			s.parts++
		} else {
			first, s.seq = msg.Data, msg.Sequence
		}
	}
	if err := patience.Err(); err != nil { // an answer that does not come just ends
		if ctx.Err() == nil && !l.answered.Load() { // as a user without the right sees it
			l.restUntil.Store(time.Now().Add(snapshotRest).UnixNano())
		}
		return stored{}, fmt.Errorf("read snapshot of %s: %w: %w", name, ErrAway, err)
	}
	l.answered.Store(true)
	if first == nil {
		return s, nil
	}
	if s.state, err = unpack(first, parts, name, l.defaults); err != nil {
		return s, fmt.Errorf("read snapshot of %s: %w", name, err)
	}
	s.position = s.state.Position
	return s, nil
}

// passOverSnapshot tells that a room is folded from the beginning although it has a snapshot.
func (l *Log) passOverSnapshot(name string, why error) {
	l.passedOver.Add(1)
	l.metrics.passedOver.Add(context.Background(), 1)
	l.logger.Warn("folding a room from the beginning: its snapshot cannot be used", "room", name, "error", why)
}

// PassedOver counts snapshots that were there and could not be used.
func (l *Log) PassedOver() int64 { return l.passedOver.Load() }
