package recording

import (
	"encoding/json"
	"fmt"
)

// Proof says what a recording's files can prove.
type Proof string

// Values of Proof.
const (
	ProofNone     Proof = "none"     // the manifest is from before there were digests and chains: whole files were checked
	ProofUnsigned Proof = "unsigned" // nobody signed the manifest: it agrees with its files, and anybody may have made both
	ProofSigned   Proof = "signed"   // whoever holds a key signed it, and no key was given to hold that against
	ProofTrusted  Proof = "trusted"  // a key that was given signed it
)

// Report is what a check of a recording found.
type Report struct {
	Recording   string    `json:"recording"`
	Tracks      int       `json:"tracks"`   // looked at
	Segments    int       `json:"segments"` // files of segments looked at
	Frames      int64     `json:"frames"`   // found in .opus files
	Missing     int64     `json:"missing"`
	Bytes       int64     `json:"bytes"`
	Seconds     float64   `json:"seconds"` // of all .opus files together
	Proof       Proof     `json:"proof"`
	Signed      []string  `json:"signed"`       // ids of the keys whose signatures hold
	FirstBroken *Broken   `json:"first_broken"` // null: no segment is
	Problems    []Problem `json:"problems"`
	More        int       `json:"more,omitempty"` // problems that are not listed

	order int // of the track FirstBroken is in
}

// Problem is something that is not as the manifest says.
type Problem struct {
	Track   string `json:"track,omitempty"` // "": the recording as a whole
	Segment *Place `json:"segment,omitempty"`
	What    string `json:"what"`
}

// Broken is the first segment, in the order of tracks, epochs and seqs, that is not as it was recorded.
type Broken struct {
	Track string `json:"track"`
	Place
	What string `json:"what"`
}

// String names the problem and where it is.
func (p Problem) String() string {
	switch {
	case p.Segment != nil:
		return fmt.Sprintf("track %s: %s: %s", p.Track, p.Segment, p.What)
	case p.Track != "":
		return "track " + p.Track + ": " + p.What
	}
	return p.What
}

// String is as that of a problem.
func (b Broken) String() string { return Problem{b.Track, &b.Place, b.What}.String() }

// mostProblems is how many problems are listed one by one: of a long recording under a foreign manifest everything is wrong.
const mostProblems = 500

func (r *Report) add(p Problem) {
	if len(r.Problems) == mostProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, p)
}

func (r *Report) problem(track, format string, args ...any) {
	r.add(Problem{Track: track, What: fmt.Sprintf(format, args...)})
}

// broken tells of a segment of the track that is number order in the manifest.
func (r *Report) broken(order int, track string, at Place, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	r.add(Problem{track, &at, what})
	first := r.FirstBroken
	if first == nil || order < r.order || order == r.order && (at.Epoch < first.Epoch || at.Epoch == first.Epoch && at.N < first.N) {
		r.FirstBroken, r.order = &Broken{track, at, what}, order
	}
}

// Count is how many problems there are.
func (r *Report) Count() int { return len(r.Problems) + r.More }

// read takes the manifest apart; false says that there is nothing to go on with.
func (r *Report) read(manifest []byte, m *Manifest) bool {
	if err := json.Unmarshal(manifest, m); err != nil {
		r.problem("", "%s cannot be read: %v", ManifestFile, err)
		return false
	}
	r.Recording = m.Recording
	if m.Version != ManifestVersion {
		r.problem("", "the manifest is of version %d, this program knows %d", m.Version, ManifestVersion)
		return false
	}
	return true
}
