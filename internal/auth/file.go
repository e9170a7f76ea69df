package auth

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS #8, RFC 8410
	publicBlock  = "PUBLIC KEY"  // PKIX
	maxKeyFile   = 16 << 10      // bytes
)

// WriteKeyPair makes a key and writes path (private, mode 0600) and path.pub (public, mode 0644), and gives its key id. It
// refuses to overwrite either (fs.ErrExist) and leaves neither behind when it fails.
func WriteKeyPair(path string) (kid string, err error) {
	private, err := GenerateKey()
	if err != nil {
		return "", err
	}
	public := private.Public().(ed25519.PublicKey)
	secretDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", fmt.Errorf("encode private key: %w", err)
	}
	publicDER, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("encode public key: %w", err)
	}
	if _, err := os.Lstat(path + ".pub"); err == nil {
		return "", fmt.Errorf("write key %s.pub: %w", path, fs.ErrExist)
	}
	if err := writeNew(path, privateBlock, secretDER, 0o600); err != nil {
		return "", fmt.Errorf("write key %s: %w", path, err)
	}
	if err := writeNew(path+".pub", publicBlock, publicDER, 0o644); err != nil {
		return "", errors.Join(fmt.Errorf("write key %s.pub: %w", path, err), os.Remove(path))
	}
	return KeyID(public), nil
}

// writeNew creates the file or fails; O_EXCL also refuses a symbolic link.
func writeNew(path, kind string, der []byte, mode os.FileMode) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// LoadPrivateKey reads a file with a private key. Errors match fs.ErrNotExist or ErrKeyFile.
func LoadPrivateKey(path string) (ed25519.PrivateKey, error) {
	private, _, err := readKey(path)
	if err == nil && private == nil {
		err = fmt.Errorf("%w: it is a public key; signing needs the private one, without .pub", ErrKeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("load key %s: %w", path, err)
	}
	return private, nil
}

// LoadPublicKey reads a file with a public key, or with a private one, of which it gives the public part. Errors as those of
// LoadPrivateKey.
func LoadPublicKey(path string) (ed25519.PublicKey, error) {
	private, public, err := readKey(path)
	if err != nil {
		return nil, fmt.Errorf("load key %s: %w", path, err)
	}
	if private != nil {
		public = private.Public().(ed25519.PublicKey)
	}
	return public, nil
}

// readKey gives the private key or the public one.
func readKey(path string) (ed25519.PrivateKey, ed25519.PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(b) > maxKeyFile {
		return nil, nil, fmt.Errorf("%w: longer than %d bytes", ErrKeyFile, maxKeyFile)
	}
	return parseKey(b)
}

func parseKey(b []byte) (ed25519.PrivateKey, ed25519.PublicKey, error) {
	block, rest := pem.Decode(b)
	if block == nil {
		return nil, nil, fmt.Errorf("%w: no PEM block in it", ErrKeyFile)
	}
	if len(bytes.TrimSpace(rest)) > 0 {
		return nil, nil, fmt.Errorf("%w: something follows the first key", ErrKeyFile)
	}
	var key any
	var err error
	switch block.Type {
	case privateBlock:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case publicBlock:
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, nil, fmt.Errorf("%w: it holds a %.40q, not a %s or %s", ErrKeyFile, block.Type, privateBlock, publicBlock)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		return key, nil, nil
	case ed25519.PublicKey:
		return nil, key, nil
	}
	return nil, nil, fmt.Errorf("%w: it is not an Ed25519 key; `airloom key FILE` makes one", ErrKeyFile)
}
