// Package auth makes and checks the tokens that let somebody into a room, and the Ed25519 keys that sign them.
//
// A token says who its bearer is and what they may do in which room. It is a JWT (RFC 7519) with one algorithm (EdDSA, RFC
// 8037), one issuer and a pinned set of keys, so there is nothing to negotiate and nothing to fetch. The package opens no
// socket and never logs; an error never holds a token or a key.
package auth

import (
	"errors"
	"fmt"
)

// ErrToken is wrapped by every refusal of Verify.
var ErrToken = errors.New("the token is refused")

// Refusals of Verify, each wrapping ErrToken.
var (
	ErrMalformed  = fmt.Errorf("%w: it is not a well-formed token of this kind", ErrToken)
	ErrTooLong    = fmt.Errorf("%w: it is longer than %d bytes", ErrToken, MaxToken)
	ErrAlgorithm  = fmt.Errorf("%w: its algorithm is not EdDSA", ErrToken)
	ErrUnknownKey = fmt.Errorf("%w: its key is not one of those trusted here", ErrToken)
	ErrSignature  = fmt.Errorf("%w: its signature is wrong", ErrToken)
	ErrExpired    = fmt.Errorf("%w: it has expired", ErrToken)
	ErrNotYet     = fmt.Errorf("%w: it is not valid yet", ErrToken)
	ErrLifetime   = fmt.Errorf("%w: it must have iat and exp at most %v apart", ErrToken, MaxLife)
	ErrCluster    = fmt.Errorf("%w: it was made for another cluster (iss, aud)", ErrToken)
	ErrClaims     = fmt.Errorf("%w: a claim is missing or not allowed", ErrToken)
)

// Refusals of what a good token asks for.
var (
	// ErrRoom is returned by Claims.For.
	ErrRoom = errors.New("the token is for another room")
	// ErrWider is returned where a new token would allow more than the one it follows from.
	ErrWider = errors.New("the token may not allow more than the one before it")
	// ErrIdentity is returned by Claims.Refreshes.
	ErrIdentity = errors.New("the token is for another identity")
	// ErrNoPrivateKey is returned by Mint where only public keys are loaded.
	ErrNoPrivateKey = errors.New("there is no private key here")
	// ErrKeyFile is wrapped by every refusal of a key file.
	ErrKeyFile = errors.New("not a usable key file")
)
