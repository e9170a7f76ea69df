package recording

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"airloom/internal/auth"
)

// SignatureVersion is the version of a signature's form.
const SignatureVersion = 1

// LongestSignature is more bytes than any signature has.
const LongestSignature = 4 << 10

// signed comes before the manifest in what is signed, so that a signature of anything else made with the same key is none
// of a manifest.
const signed = "airloom manifest 1\n"

// ErrSignature is wrapped by every refusal of a signature.
var ErrSignature = errors.New("not a valid signature")

// Signature is a recorder's word that it made a manifest. It holds no time and nothing of who wrote it but the key:
// Ed25519 (RFC 8032) gives the same signature of the same bytes, so recorders that share a key write the same object.
type Signature struct {
	Version   int    `json:"version"`
	Recording string `json:"recording"`
	Key       string `json:"key"`             // auth.KeyID of the public key
	PublicKey string `json:"public_key"`      // base64
	Manifest  string `json:"manifest_sha256"` // hex
	Signature string `json:"signature"`       // base64
}

// Sign signs a manifest's bytes and gives the signature's stored form.
func Sign(recording string, manifest []byte, key ed25519.PrivateKey) ([]byte, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("sign manifest of %s: no key", recording)
	}
	sum := sha256.Sum256(manifest)
	return Encode(Signature{
		Version: SignatureVersion, Recording: recording, Key: auth.KeyID(public), PublicKey: base64.StdEncoding.EncodeToString(public),
		Manifest: hex.EncodeToString(sum[:]), Signature: base64.StdEncoding.EncodeToString(ed25519.Sign(key, signedBytes(manifest))),
	})
}

func signedBytes(manifest []byte) []byte { return append([]byte(signed), manifest...) }

// CheckSignature holds a signature's stored form against the manifest's bytes, and gives the key that signed. The signature
// is for this recording ("": whichever it names) and has one form only, so that not one bit of it can change unnoticed. Who holds the key, the signature cannot say: that is for the
// caller, who knows it or not. Errors match ErrSignature and say what does not fit.
func CheckSignature(data, manifest []byte, recording, keyID string) (ed25519.PublicKey, error) {
	var s Signature
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%w: it cannot be read: %w", ErrSignature, err)
	}
	if s.Version != SignatureVersion {
		return nil, fmt.Errorf("%w: it is of version %d, this program knows %d", ErrSignature, s.Version, SignatureVersion)
	}
	if again, err := Encode(s); err != nil || !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: it is not in its one form", ErrSignature)
	}
	public, err := base64.StdEncoding.Strict().DecodeString(s.PublicKey)
	if err != nil || len(public) != ed25519.PublicKeySize || s.Key != auth.KeyID(public) {
		return nil, fmt.Errorf("%w: its public key is not that of key id %.40q", ErrSignature, s.Key)
	}
	if s.Key != keyID {
		return nil, fmt.Errorf("%w: it is by key %s and lies under the name of %s", ErrSignature, s.Key, keyID)
	}
	if s.Recording != recording && recording != "" {
		return nil, fmt.Errorf("%w: it is for recording %.80q", ErrSignature, s.Recording)
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(s.Signature)
	holds := err == nil && ed25519.Verify(public, signedBytes(manifest), signature)
	sum := sha256.Sum256(manifest)
	switch same := s.Manifest == hex.EncodeToString(sum[:]); {
	case holds && same:
		return public, nil
	case same:
		return nil, fmt.Errorf("%w: the manifest is the one it names, the signature itself is damaged or forged", ErrSignature)
	case holds:
		return nil, fmt.Errorf("%w: it signs this manifest and names the SHA-256 of another one", ErrSignature)
	}
	return nil, fmt.Errorf("%w: %s is not what was signed: its SHA-256 is %x, signed was %.64s", ErrSignature, ManifestFile, sum, s.Manifest)
}
