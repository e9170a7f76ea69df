// Package plant holds the faults that the checker must find: bugs that can be switched on in a binary built with the tag
// "plant", to prove that a check which passes could have failed. In every other build On is a constant false and
// the compiler drops what it guards.
package plant

// Bug is one planted fault.
type Bug string

// The bugs, each beside the promise that it breaks.
const (
	AckEarly     Bug = "ack_early"     // the edge acks before the log has the pack
	SegmentTimer Bug = "segment_timer" // the recorder closes a segment by the clock
	NoDedupe     Bug = "no_dedupe"     // a frame that came twice is recorded or heard twice
	SecondLeft   Bug = "second_left"   // presence appends a second session.left
	SeamSkip     Bug = "seam_skip"     // the seam between log and live leaves frames out
)

// Bugs lists them all.
var Bugs = []Bug{AckEarly, SegmentTimer, NoDedupe, SecondLeft, SeamSkip}
