// Package recording owns what a recording is: the names of its objects, the segment codec, the manifest, and the check
// of a recording against its manifest.
//
// It follows no log and stores nothing: services/recorder makes recordings, cmd/airloom and the edges read them.
package recording

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// SegmentSeqs is how many seqs a segment covers: 10 s of 20 ms frames. Segments begin at multiples of it, so every
// recorder cuts at the same places.
const SegmentSeqs = 500

// Root is the folder of all recordings.
const Root = "recordings/"

// ManifestFile is a recording's manifest to whoever asks; while the recording is open it lies in OpenFile.
const (
	ManifestFile = "manifest.json"
	openFile     = "open.json"
)

// ErrName says that an id or a file name is none of a recording's.
var ErrName = errors.New("no such name in a recording")

// ID makes a recording's id from when it began: the time of the event and its position. Every recorder makes the same
// one, ids sort by time, and another region's cannot be equal.
func ID(region string, at time.Time, position uint64) string {
	when := strings.Replace(at.UTC().Format("20060102-150405.000"), ".", "", 1)
	return fmt.Sprintf("%s-%s-%06d", when, region, position)
}

// OfAnotherRegion says whether an id was made by ID, and for another region. Of those that edges make for recordings somebody starts,
// which name no region, only the log can tell.
func OfAnotherRegion(id, region string) bool {
	parts := strings.SplitN(id, "-", 3)
	if len(parts) < 3 || len(parts[1]) != len("150405000") {
		return false
	}
	end := strings.LastIndexByte(parts[2], '-')
	return end >= 0 && parts[2][:end] != region
}

// Dir is the folder of a recording's objects. Callers have checked the id with subject.ID.
func Dir(id string) string { return Root + id + "/" }

// Manifest is the key of a closed recording's manifest, which never changes; Open that of an open one's, which is
// rewritten.
func ManifestKey(id string) string { return Dir(id) + ManifestFile }
func OpenKey(id string) string     { return Dir(id) + openFile }

// SegmentKey, OpusKey and TrackKey are the keys of a segment, of a track's sound and of its part of the manifest; SignatureKey is
// that of a key's signature of the manifest.
func SegmentKey(id, track string, epoch uint8, n uint32) string {
	return Dir(id) + SegmentFile(track, epoch, n)
}
func OpusKey(id, track string) string      { return Dir(id) + OpusFile(track) }
func TrackKey(id, track string) string     { return Dir(id) + track + ".json" }
func SignatureKey(id, keyID string) string { return Dir(id) + SignatureFile(keyID) }
