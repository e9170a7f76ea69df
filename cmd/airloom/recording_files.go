package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// fetchFile makes a file with the content of that SHA-256, or none at all.
func fetchFile(path, sum string, open func() (io.ReadCloser, error)) error {
	switch there, err := fileSum(path); {
	case err == nil && there == sum:
		return nil
	case err == nil:
		return fmt.Errorf("%s is there already with other content: %w", path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return atomically(path, func(to *os.File) error {
		content, err := open()
		if err != nil {
			return err
		}
		defer content.Close()
		hash := sha256.New()
		if _, err := io.Copy(io.MultiWriter(to, hash), content); err != nil {
			return fmt.Errorf("fetch %s: %w", filepath.Base(path), err)
		}
		if got := hex.EncodeToString(hash.Sum(nil)); got != sum {
			return fmt.Errorf("fetch %s: what came has the SHA-256 %s instead of %s: try again", filepath.Base(path), got, sum)
		}
		return nil
	})
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// atomically makes a new file that appears whole or not at all.
func atomically(path string, write func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // gone already when all went well
	if err := write(f); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it replaces nothing
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func opener(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}
