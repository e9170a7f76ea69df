package auth

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// Keys is the pinned set of keys that are trusted, and at most one that signs. Safe for concurrent use once it is set up.
type Keys struct {
	// Cluster is the audience of tokens: those of another cluster are refused even when they share a key. DefaultCluster where it
	// is empty. Set it before the first use.
	Cluster string

	public  map[string]ed25519.PublicKey // by key id
	private ed25519.PrivateKey           // nil: cannot mint
}

// DefaultCluster is the audience of tokens where none is configured.
const DefaultCluster = "airloom"

// GenerateKey makes a key from the system's randomness.
func GenerateKey() (ed25519.PrivateKey, error) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return private, nil
}

// KeyID names a public key in a token's header: the first 8 bytes of its SHA-256 in base64url without padding.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// NewKeys trusts the publics and the private key's own; private may be nil.
func NewKeys(private ed25519.PrivateKey, publics ...ed25519.PublicKey) *Keys {
	k := &Keys{private: private, public: map[string]ed25519.PublicKey{}}
	if private != nil {
		publics = append(publics, private.Public().(ed25519.PublicKey))
	}
	for _, public := range publics {
		k.public[KeyID(public)] = public
	}
	return k
}

// LoadKeys reads key files: each holds one private (PKCS #8 PEM) or one public key (PKIX PEM). At least one file, at most one
// private key. It reports every file that cannot be used.
func LoadKeys(paths ...string) (*Keys, error) {
	var (
		private  ed25519.PrivateKey
		publics  []ed25519.PublicKey
		problems []error
	)
	for _, path := range paths {
		secret, public, err := readKey(path)
		switch {
		case err != nil:
			problems = append(problems, fmt.Errorf("load key %s: %w", path, err))
		case secret != nil && private != nil && !secret.Equal(private):
			problems = append(problems, fmt.Errorf("load key %s: %w: it is a second private key; give the .pub file of all but one", path, ErrKeyFile))
		case secret != nil:
			private = secret
		default:
			publics = append(publics, public)
		}
	}
	if len(paths) == 0 {
		problems = append(problems, fmt.Errorf("load keys: %w: no file given", ErrKeyFile))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return NewKeys(private, publics...), nil
}

// CanMint says whether a private key is there.
func (k *Keys) CanMint() bool { return k.private != nil }

// IDs lists the ids of the trusted keys, sorted.
func (k *Keys) IDs() []string {
	ids := make([]string, 0, len(k.public))
	for id := range k.public {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (k *Keys) cluster() string {
	if k.Cluster == "" {
		return DefaultCluster
	}
	return k.Cluster
}
