package frame

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// Digest is a SHA-256 over frames in seq order, each preceded by its length as a 4-byte big-endian number. Equal on
// two sides means that nothing was lost, doubled or altered between them. Make one with NewDigest.
type Digest struct {
	hash   hash.Hash
	length [4]byte // kept here because a local one would escape to the heap on every Add
}

// NewDigest returns the digest of no frames.
func NewDigest() *Digest { return &Digest{hash: sha256.New()} }

// Add takes the next frame in; it keeps nothing of it.
func (d *Digest) Add(payload []byte) {
	binary.BigEndian.PutUint32(d.length[:], uint32(len(payload)))
	d.hash.Write(d.length[:])
	d.hash.Write(payload)
}

// Sum is the digest of the frames so far in lower-case hex; more may follow.
func (d *Digest) Sum() string { return hex.EncodeToString(d.hash.Sum(nil)) }
