package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
)

// A frame of this run tells by itself which track it belongs to and where in it, so whoever has one can check it without asking anybody:
//
//	TOC (SILK, 20 ms, mono)  key(8)  seq(4)  random bytes that follow from key and seq
const (
	toc      = 0x08
	frameMS  = 20
	headSize = 13
)

var errForeign = errors.New("these bytes were never said")

// sound makes frame seq of the track with that key. Nobody else in the run has the key.
func sound(key uint64, seq uint32) []byte {
	rng := rand.New(rand.NewPCG(key, uint64(seq)))
	b := make([]byte, headSize+20+rng.IntN(60))
	b[0] = toc
	binary.BigEndian.PutUint64(b[1:], key)
	binary.BigEndian.PutUint32(b[9:], seq)
	for i := headSize; i < len(b); i++ {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// heardSound reads a frame; errForeign for one that sound did not make.
func heardSound(b []byte) (key uint64, seq uint32, err error) {
	if len(b) < headSize {
		return 0, 0, errForeign
	}
	key, seq = binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9:])
	if !bytes.Equal(b, sound(key, seq)) {
		return 0, 0, errForeign
	}
	return key, seq, nil
}

// dice gives an actor numbers of its own, so that what it does follows from the seed whatever the others do.
func dice(seed uint64, actor string) *rand.Rand {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(actor) {
		h = (h ^ uint64(actor[i])) * 1099511628211
	}
	return rand.New(rand.NewPCG(seed, h))
}
