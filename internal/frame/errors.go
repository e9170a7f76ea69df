package frame

import "errors"

// Why a packet or a frame is refused. Parse, AppendAudio, AppendSilence and Duration return errors that match one of
// these with errors.Is; ErrOpus and ErrCount come wrapped in the reason.
var (
	ErrShort   = errors.New("packet is cut short")
	ErrVersion = errors.New("packet has an unknown version")
	ErrKind    = errors.New("packet has an unknown kind")
	ErrFlags   = errors.New("packet has flags that its kind does not take")
	ErrCount   = errors.New("packet has a count out of range")
	ErrHandle  = errors.New("track handle is 0")
	ErrOpus    = errors.New("not a valid Opus frame")
	ErrSeq     = errors.New("packet reaches beyond seq 2³²−1")
)

// refusal is a reason below one of the sentinels. Reasons are made once, so that refusing costs no allocation even
// when a hostile speaker sends nothing else.
type refusal struct {
	kind   error
	reason string
}

func (r *refusal) Error() string { return r.kind.Error() + ": " + r.reason }
func (r *refusal) Unwrap() error { return r.kind }

var (
	errNoFrames     error = &refusal{ErrCount, "no frames"}
	errManyFrames   error = &refusal{ErrCount, "more than 255 frames"}
	errSpan         error = &refusal{ErrCount, "silence spans no seq"}
	errUnit         error = &refusal{ErrCount, "silence duration is not 1–48 units of 2.5 ms"}
	errFrameShort   error = &refusal{ErrOpus, "fewer than 2 bytes"}
	errFrameLong    error = &refusal{ErrOpus, "more than 1275 bytes"}
	errOdd          error = &refusal{ErrOpus, "code 1 with frames of unequal size (R3)"}
	errFirstFrame   error = &refusal{ErrOpus, "code 2 with a first frame beyond the end (R4)"}
	errCode3Count   error = &refusal{ErrOpus, "code 3 with no frames (R5)"}
	errTooLong      error = &refusal{ErrOpus, "lasts more than 120 ms (R5)"}
	errPadding      error = &refusal{ErrOpus, "code 3 with padding beyond the end (R6)"}
	errUneven       error = &refusal{ErrOpus, "code 3 with frames of unequal size (R6)"}
	errFrameLengths error = &refusal{ErrOpus, "code 3 with frames beyond the end (R7)"}
	errMixed        error = &refusal{ErrOpus, "frames of one packet last unequally long"}
)
