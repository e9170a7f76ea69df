package recording

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
)

// Whatever becomes of a manifest that was signed, it is noticed, and nothing falls over; without the signature nothing falls over either.
func FuzzVerify(f *testing.F) {
	m, files := recorded(&testing.T{})
	good, err := Encode(m)
	if err != nil {
		f.Fatal(err)
	}
	key := testKey(1)
	if files[SignatureFile(keyID(key))], err = Sign("r", good, key); err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, pair := range [][2]string{
		{`"frames": 60`, `"frames": 4611686018427387904`}, {`"last": 1109`, `"last": 4294967295`}, {`"n": 2`, `"n": 4294967295`}, {`"epoch": 0`, `"epoch": 255`},
		{`"frame_ms": 20`, `"frame_ms": 1e308`}, {`"frame_ms": 20`, `"frame_ms": -20`}, {`"seconds": 22.2`, `"seconds": -1e308`}, {`"from": 30`, `"from": 4294967295`},
		{`"segments": [`, `"segments": [{},{},`}, {`"tracks": [`, `"tracks": [null,`}, {`"first": `, `"first": -`}, {`"packets": `, `"packets": 9223372036854775`},
		{`"r"`, `"../r"`}, {`"closed"`, `"open"`}, {`"hall"`, `"hall\n"`}, {`"chain": "`, `"chian": "`}, {`"bytes": `, `"bytes": -`}, {`{`, ``}, {`{`, `[`},
	} {
		if bad := strings.Replace(string(good), pair[0], pair[1], 1); bad != string(good) {
			f.Add([]byte(bad))
		} else {
			f.Fatalf("no %s in the manifest", pair[0])
		}
	}
	f.Add([]byte(""))
	f.Add([]byte("null"))
	f.Add([]byte(strings.Repeat("[", 20_000)))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		r, err := Verify(t.Context(), manifest, files, Options{Keys: []ed25519.PublicKey{public(key)}, Segments: true})
		if err != nil {
			t.Fatal(err)
		}
		if same := bytes.Equal(manifest, good); same != (r.Count() == 0) {
			t.Errorf("the manifest is as signed: %v; %d problems: %s", same, r.Count(), all(r))
		}
		if _, err := Verify(t.Context(), manifest, files, Options{}); err != nil {
			t.Fatal(err)
		}
	})
}
