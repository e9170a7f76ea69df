package recording

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"airloom/internal/frame"
	"airloom/internal/subject"
)

// SegmentsDir is the folder of a recording's segments, within the recording.
const SegmentsDir = "segments/"

// OpusFile is the name of a track's sound within its recording, SegmentFile that of a segment, SignatureFile that of a key's
// signature.
func OpusFile(track string) string { return track + ".opus" }
func SegmentFile(track string, epoch uint8, n uint32) string {
	return fmt.Sprintf("%s%s/%d-%d.seg", SegmentsDir, track, epoch, n)
}
func SignatureFile(keyID string) string { return "manifest." + keyID + ".sig" }

// FileKey is the key of a file that somebody asks for by name. The name is taken apart and put together anew, so nothing
// but a recording's own files can be reached: the manifest, its signatures, .opus files and segments. ErrName (wrapped) for
// all others.
func FileKey(id, file string) (string, error) {
	if err := subject.ID(id); err != nil {
		return "", fmt.Errorf("recording %.80q: %w", id, ErrName)
	}
	f, ok := parseFile(file)
	if !ok {
		return "", fmt.Errorf("file %.80q: %w", file, ErrName)
	}
	return Dir(id) + f.name(), nil
}

// IsFile says whether a name can be one of a recording's files.
func IsFile(name string) bool {
	_, ok := parseFile(name)
	return ok
}

// SignedBy gives the key id of a signature's file name; ok is false for all other names.
func SignedBy(name string) (keyID string, ok bool) {
	f, ok := parseFile(name)
	return f.keyID, ok && f.keyID != ""
}

// file is a file's name, taken apart: a signature has keyID, a track's sound track, a segment all of the rest; the
// manifest has nothing.
type file struct {
	keyID   string
	track   string
	segment bool
	epoch   uint8
	n       uint32
}

func (f file) name() string {
	switch {
	case f.keyID != "":
		return SignatureFile(f.keyID)
	case f.segment:
		return SegmentFile(f.track, f.epoch, f.n)
	case f.track != "":
		return OpusFile(f.track)
	}
	return ManifestFile
}

// names have one capture for each part; what they let pass is put together again and must then be the same.
var names = regexp.MustCompile(`^(?:manifest\.json|manifest\.([A-Za-z0-9_-]{11})\.sig|(?:segments/)?([a-z2-7]{7})(?:/(\d{1,3})-(\d{1,10})\.seg|\.opus))$`)

func parseFile(name string) (f file, ok bool) {
	m := names.FindStringSubmatch(name)
	if m == nil {
		return f, false
	}
	f = file{keyID: m[1], track: m[2], segment: m[3] != ""}
	if f.keyID != "" {
		id, err := base64.RawURLEncoding.Strict().DecodeString(f.keyID)
		return f, err == nil && len(id) == 8
	}
	if f.track != "" {
		if _, ok := frame.ParseTrackID(f.track); !ok {
			return f, false
		}
	}
	if f.segment {
		epoch, err := strconv.ParseUint(m[3], 10, 8)
		n, err2 := strconv.ParseUint(m[4], 10, 32)
		if err != nil || err2 != nil || n > frame.MaxSeq/SegmentSeqs {
			return f, false
		}
		f.epoch, f.n = uint8(epoch), uint32(n)
	}
	return f, f.name() == name && strings.HasPrefix(name, SegmentsDir) == f.segment
}
