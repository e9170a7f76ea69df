package query

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"airloom/internal/subject"
)

// subject.RecorderList: RecordingsQuestion, answered by Recordings.
type (
	RecordingsQuestion struct {
		Room  string `json:"room,omitempty"`  // of this room alone; "": of all
		After string `json:"after,omitempty"` // recordings older than this one; "": from the newest
	}
	Recordings struct {
		Recordings []Recording `json:"recordings"`        // the newest first: ids sort by time
		Damaged    []string    `json:"damaged,omitempty"` // ids of recordings whose manifest cannot be read; asked for all rooms only
		More       bool        `json:"more"`              // ask again with after = the last id
	}
	Recording struct {
		Recording string          `json:"recording"`
		Room      string          `json:"room"`
		State     string          `json:"state"` // "open", "closed"
		Started   time.Time       `json:"started"`
		Stopped   *time.Time      `json:"stopped"` // nil while it is open
		Seconds   float64         `json:"seconds"`
		Tracks    []RecordedTrack `json:"tracks"`
	}
	RecordedTrack struct {
		Track    string  `json:"track"`
		Identity string  `json:"identity"`
		Name     string  `json:"name"`
		Label    string  `json:"label"`
		Frames   int64   `json:"frames"`
		Missing  int64   `json:"missing"`
		Seconds  float64 `json:"seconds"`
		File     string  `json:"file"` // to ask RecorderRead for; "" while there is none
		Bytes    int64   `json:"bytes"`
	}
)

// RecordingQuestion goes to subject.RecorderGet; the answer is the manifest, a JSON object with at least "recording" and
// "room". Unknown: 404; a manifest that is damaged: 422.
type RecordingQuestion struct {
	Recording string `json:"recording"`
}

// RecordingFiles answers a RecordingQuestion to subject.RecorderFiles: the files there are, by the names that FileQuestion takes. Segments are
// not among them: the manifest names them. Unknown: no files.
type RecordingFiles struct {
	Recording string   `json:"recording"`
	Files     []string `json:"files"`
}

// FileQuestion goes to subject.RecorderRead. The answer's body is the bytes, fewer than Length only at the file's end; its headers
// are "Airloom-Size" (of the whole file, bytes) and "Airloom-Sha256" (hex, of the whole file; absent while the file still grows).
// Unknown file: 404. Offset behind the end: no bytes.
type FileQuestion struct {
	Recording string `json:"recording"`
	File      string `json:"file"`
	Offset    int64  `json:"offset"`
	Length    int    `json:"length"` // 0–MaxRead
}

// MaxRead is the most bytes in one FilePart.
const MaxRead = 256 << 10

// Headers of the answer to a FileQuestion.
const (
	HeaderSize   = "Airloom-Size"
	HeaderSHA256 = "Airloom-Sha256"
)

// FilePart is a piece of a recording's file.
type FilePart struct {
	Data   []byte
	Size   int64  // of the whole file, bytes
	SHA256 string // of the whole file, hex; "" while it grows
}

// AskFile reads a piece of a file. Errors as those of Ask.
func AskFile(ctx context.Context, conn *nats.Conn, question FileQuestion) (FilePart, error) {
	msg, err := request(ctx, conn, subject.RecorderRead, question)
	if err != nil {
		return FilePart{}, err
	}
	part := FilePart{Data: msg.Data, SHA256: msg.Header.Get(HeaderSHA256)}
	if part.Size, err = strconv.ParseInt(msg.Header.Get(HeaderSize), 10, 64); err != nil || part.Size < 0 || len(part.Data) > question.Length {
		return FilePart{}, fmt.Errorf("read %s of %s: the recorder's answer is not one", question.File, question.Recording)
	}
	return part, nil
}
