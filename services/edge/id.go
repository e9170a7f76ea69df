package edge

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"airloom/internal/eventlog"
)

var base32Lower = base32.StdEncoding.WithPadding(base32.NoPadding)

// newID is 80 random bits in lower-case base32: a session or an edge incarnation.
func newID() string {
	var b [10]byte
	rand.Read(b[:])
	return strings.ToLower(base32Lower.EncodeToString(b[:]))
}

// newSecret is 160 random bits; only its hash goes to the log.
func newSecret() string {
	var b [20]byte
	rand.Read(b[:])
	return strings.ToLower(base32Lower.EncodeToString(b[:]))
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// newHandle is a track's handle: 32 random bits, never 0. The log refuses one that the room has had before.
func newHandle() uint32 {
	var b [4]byte
	for {
		rand.Read(b[:])
		if h := binary.BigEndian.Uint32(b[:]); h != 0 {
			return h
		}
	}
}

func isConflict(err error) bool { return errors.Is(err, eventlog.ErrConflict) }
