package recording

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
)

func TestSignatureIsTheSameForAllWithTheKey(t *testing.T) {
	manifest, key := []byte("{}\n"), testKey(1)
	one, err := Sign("r", manifest, key)
	if err != nil {
		t.Fatal(err)
	}
	two, _ := Sign("r", manifest, key)
	if !bytes.Equal(one, two) || int64(len(one)) > LongestSignature {
		t.Errorf("%s\n%s", one, two)
	}
	public, err := CheckSignature(one, manifest, "r", keyID(key))
	if err != nil || !public.Equal(key.Public()) {
		t.Errorf("%v", err)
	}
}

// Row 87, the signature's part: not one bit of it can change unnoticed, nor can it serve for anything else.
func TestRow87DamagedSignatures(t *testing.T) {
	manifest, key := []byte(`{"recording":"r"}`), testKey(1)
	good, err := Sign("r", manifest, key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := CheckSignature(bad, manifest, "r", keyID(key)); !errors.Is(err, ErrSignature) {
				t.Fatalf("bit %d of byte %d flipped: %v\n%s", bit, i, err, bad)
			}
		}
		if _, err := CheckSignature(good[:i], manifest, "r", keyID(key)); !errors.Is(err, ErrSignature) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	foreign, _ := Sign("r", manifest, testKey(2))
	for _, c := range []struct {
		name, recording, key string
		data, manifest       []byte
		want                 string
	}{
		{"of another manifest", "r", keyID(key), good, []byte(`{"recording":"r" }`), "is not what was signed"},
		{"of another recording", "q", keyID(key), good, manifest, "for recording"},
		{"under another's name", "r", keyID(key), foreign, manifest, "under the name"},
		{"another's signature in it", "r", keyID(key), graft(t, good, foreign, "signature"), manifest, "damaged or forged"},
		{"another's public key in it", "r", keyID(key), graft(t, good, foreign, "public_key"), manifest, "not that of key id"},
		{"of a later version", "r", keyID(key), bytes.Replace(good, []byte(`"version": 1`), []byte(`"version": 2`), 1), manifest, "version 2"},
		{"with something behind it", "r", keyID(key), append(bytes.Clone(good), ' '), manifest, "one form"},
		{"empty", "r", keyID(key), nil, manifest, "cannot be read"},
	} {
		if _, err := CheckSignature(c.data, c.manifest, c.recording, c.key); !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// graft puts a field of one signature into another.
func graft(t *testing.T, onto, from []byte, field string) []byte {
	t.Helper()
	line := func(b []byte) []byte {
		for l := range bytes.Lines(b) {
			if bytes.Contains(l, []byte(`"`+field+`"`)) {
				return l
			}
		}
		t.Fatalf("no %s in %s", field, b)
		return nil
	}
	return bytes.Replace(onto, line(onto), line(from), 1)
}

// Who signed is told, and held against the keys that are known.
func TestWhoSigned(t *testing.T) {
	mine, old, foreign := testKey(1), testKey(2), testKey(3)
	for _, c := range []struct {
		name  string
		by    []ed25519.PrivateKey
		known []ed25519.PrivateKey
		strip bool // digests and chains
		proof Proof
		want  string
	}{
		{"by mine", []ed25519.PrivateKey{mine}, []ed25519.PrivateKey{mine}, false, ProofTrusted, ""},
		{"by mine and another recorder's", []ed25519.PrivateKey{mine, foreign}, []ed25519.PrivateKey{mine}, false, ProofTrusted, ""},
		{"by one of several", []ed25519.PrivateKey{old}, []ed25519.PrivateKey{mine, old}, false, ProofTrusted, ""},
		{"nobody asks", []ed25519.PrivateKey{foreign}, nil, false, ProofSigned, ""},
		{"nobody signed, nobody asks", nil, nil, false, ProofUnsigned, ""},
		{"nobody signed", nil, []ed25519.PrivateKey{mine}, false, ProofUnsigned, "key " + keyID(mine) + " did not sign the manifest, and no valid signature is there"},
		{"by a foreign key", []ed25519.PrivateKey{foreign}, []ed25519.PrivateKey{mine}, false, ProofSigned, "foreign key: key " + keyID(mine) + " did not sign the manifest; who signed is " + keyID(foreign)},
		{"from before", nil, nil, true, ProofNone, ""},
		{"made to look as from before", nil, []ed25519.PrivateKey{mine}, true, ProofNone, "did not sign"},
	} {
		m, files := recorded(t)
		if c.strip {
			m.Tracks[0].Chain = ""
			for i := range m.Tracks[0].Segments {
				s := &m.Tracks[0].Segments[i]
				s.Frames, s.Digest, s.Chain = 0, "", ""
			}
		}
		data, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range c.by {
			if files[SignatureFile(keyID(key))], err = Sign("r", data, key); err != nil {
				t.Fatal(err)
			}
		}
		o := Options{Segments: true}
		for _, key := range c.known {
			o.Keys = append(o.Keys, public(key))
		}
		r, err := Verify(t.Context(), data, files, o)
		if err != nil || r.Proof != c.proof || c.want == "" && all(r) != "" || !strings.Contains(all(r), c.want) || len(r.Signed) != len(c.by) {
			t.Errorf("%s: %v %+v", c.name, err, r)
		}
	}
}
