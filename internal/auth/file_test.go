package auth

import (
	"crypto/ed25519"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadOneKey(t *testing.T) {
	dir := t.TempDir()
	path, text := filepath.Join(dir, "k"), filepath.Join(dir, "text")
	kid, err := WriteKeyPair(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(text, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	private, err := LoadPrivateKey(path)
	if err != nil || KeyID(private.Public().(ed25519.PublicKey)) != kid {
		t.Errorf("%v", err)
	}
	for _, file := range []string{path, path + ".pub"} {
		if public, err := LoadPublicKey(file); err != nil || KeyID(public) != kid {
			t.Errorf("%s: %v", file, err)
		}
	}
	for file, want := range map[string]error{path + ".pub": ErrKeyFile, text: ErrKeyFile, path + "x": fs.ErrNotExist} {
		if _, err := LoadPrivateKey(file); !errors.Is(err, want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for file, want := range map[string]error{text: ErrKeyFile, path + "x": fs.ErrNotExist} {
		if _, err := LoadPublicKey(file); !errors.Is(err, want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
