package query

// RebuildQuestion goes to subject.RecorderRebuild and begins, or to subject.RecorderRebuildAt of Rebuild.Recorder and asks how far
// it is. Both are answered by Rebuild. Unknown recording, or none of that room: 404. Not closed yet: 409. Too many at once: 429.
type RebuildQuestion struct {
	Recording string `json:"recording"`
	Room      string `json:"room,omitempty"`     // the recording must be of this room; "": of any
	DryRun    bool   `json:"dry_run,omitempty"`  // only tell
	Recorder  string `json:"recorder,omitempty"` // that began it
}

// States of a Rebuild.
const (
	RebuildRunning = "running"
	RebuildDone    = "done"
	RebuildFailed  = "failed"
)

// Rebuild says what became of a recording that was made again from the log, so far.
type Rebuild struct {
	Recording string `json:"recording"`
	Room      string `json:"room"`
	Recorder  string `json:"recorder"` // to ask again
	State     string `json:"state"`
	Error     string `json:"error,omitempty"` // where it failed
	DryRun    bool   `json:"dry_run"`

	Tracks     int `json:"tracks"`
	TracksDone int `json:"tracks_done"`

	Same    int `json:"same"`    // objects that were stored as the log says
	Missing int `json:"missing"` // were not there
	Damaged int `json:"damaged"` // were other bytes; they are in quarantine/ now, unless it was a dry run
	PutBack int `json:"put_back"`
	Lost    int `json:"lost"` // are not as they should be and cannot be made again

	Objects []RebuiltObject `json:"objects"` // all that were not the same, at most MaxRebuilt
	Notes   []string        `json:"notes"`   // for people
}

// MaxRebuilt is how many objects are named in a Rebuild.
const MaxRebuilt = 1000

// States of a RebuiltObject.
const (
	ObjectMissing = "missing"
	ObjectDamaged = "damaged"
	ObjectLost    = "lost"
)

// RebuiltObject is an object that was not stored as the log says.
type RebuiltObject struct {
	Object  string `json:"object"` // within the recording
	State   string `json:"state"`
	PutBack bool   `json:"put_back"`
	Why     string `json:"why,omitempty"`
}

// Whole says whether the recording is now as the log says, as far as can be known.
func (r *Rebuild) Whole() bool {
	return r.State == RebuildDone && r.Lost == 0 && r.Missing+r.Damaged == r.PutBack
}
