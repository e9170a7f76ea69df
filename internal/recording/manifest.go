package recording

import (
	"encoding/json"
	"fmt"
	"time"

	"airloom/internal/room"
)

// ManifestVersion is the version of the manifest's form; fields are only ever added.
const ManifestVersion = 1

// State says whether a recording or a track may still grow.
type State string

// Values of State.
const (
	Open   State = "open"
	Closed State = "closed"
)

// Manifest says what a recording holds. That of a closed recording follows from the log alone: it holds nothing that
// two recorders could differ in.
type Manifest struct {
	Version   int        `json:"version"`
	Recording string     `json:"recording"`
	Room      string     `json:"room"`
	Keep      room.Keep  `json:"keep"` // the room's setting when the recording started
	By        string     `json:"by"`   // identity that started it, or "keep"
	State     State      `json:"state"`
	From      uint64     `json:"from,omitempty"`    // of the tracks that had begun it holds what the audio log has behind this position; 0: all
	Through   uint64     `json:"through,omitempty"` // of those that went on when it was stopped, what it has up to this one; 0: all
	Started   time.Time  `json:"started"`
	Stopped   *time.Time `json:"stopped"` // null while it goes on
	Tracks    []Track    `json:"tracks"`  // in the order of their starting
}

// Track is one track of a recording. Of an open track the numbers tell what is in closed segments so far, and
// SHA256 and the file are missing.
type Track struct {
	Track       string        `json:"track"`
	Session     string        `json:"session"`
	Identity    string        `json:"identity"`
	Participant string        `json:"participant"` // display name
	Name        string        `json:"name"`        // of the track, as "mic"
	Label       string        `json:"label,omitempty"`
	Channels    int           `json:"channels"`
	FrameMS     float64       `json:"frame_ms"`
	Started     time.Time     `json:"started"`
	Clock       *room.Clock   `json:"clock,omitempty"`
	State       State         `json:"state"`
	End         End           `json:"end,omitempty"`
	Epochs      []Epoch       `json:"epochs"`
	Frames      int64         `json:"frames"`  // present
	Silence     []SeqRange    `json:"silence"` // declared
	Gaps        []Gap         `json:"gaps"`
	Seconds     float64       `json:"seconds"`          // of all epochs, silence and gaps included
	SHA256      string        `json:"sha256,omitempty"` // frame.Digest over the present frames by (epoch, seq)
	File        string        `json:"file,omitempty"`   // "" also where the track has no seq at all
	Bytes       int64         `json:"bytes,omitempty"`
	FileSHA256  string        `json:"file_sha256,omitempty"`
	Fill        []Fill        `json:"fill,omitempty"`    // packets of the file that nobody published
	Problem     string        `json:"problem,omitempty"` // why there is no file
	Segments    []SegmentInfo `json:"segments,omitempty"`
	Chain       string        `json:"chain,omitempty"` // the last link of the chain of segments
}

// End says how the end of a track is known.
type End string

// Values of End.
const (
	EndDeclared End = "declared" // track.ended said so
	EndUnknown  End = "unknown"  // the session left: the highest logged seq is taken
	EndStopped  End = "stopped"  // the recording was stopped while the track went on: the highest seq logged by then is taken
)

type (
	// Epoch is one run of numbering, First to Last (inclusive) in full.
	Epoch struct {
		Epoch     uint8   `json:"epoch"`
		First     uint32  `json:"first"`
		Last      uint32  `json:"last"`
		FrameMS   float64 `json:"frame_ms"`
		Timestamp uint32  `json:"timestamp"` // media time of First, in 48 kHz samples
	}
	// SeqRange is the seqs From to To of an epoch, both included.
	SeqRange struct {
		Epoch uint8  `json:"epoch"`
		From  uint32 `json:"from"`
		To    uint32 `json:"to"`
	}
	// Gap is seqs that are missing for a reason.
	Gap struct {
		SeqRange
		Reason room.GapReason `json:"reason"`
	}
	// Fill is Packets packets of the .opus file from number First on (0-based).
	Fill struct {
		First   int `json:"first"`
		Packets int `json:"packets"`
	}
	// SegmentInfo is a closed segment: seqs 500 N to 500 N + 499 of an epoch. A span of seqs that are all missing has none.
	SegmentInfo struct {
		Epoch  uint8  `json:"epoch"`
		N      uint32 `json:"n"`
		Bytes  int    `json:"bytes"`
		SHA256 string `json:"sha256"`
		Frames int    `json:"frames"`           // present
		Digest string `json:"digest,omitempty"` // frame.Digest over these alone
		Chain  string `json:"chain,omitempty"`  // see Chain
	}
)

// Len is the number of seqs.
func (r SeqRange) Len() int64 { return int64(r.To) - int64(r.From) + 1 }

// Encode gives the stored form, the same bytes for the same content.
func Encode(v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return append(data, '\n'), nil
}

// Missing is how many seqs of a track are in gaps.
func (t *Track) Missing() (n int64) {
	for _, g := range t.Gaps {
		n += g.Len()
	}
	return n
}
