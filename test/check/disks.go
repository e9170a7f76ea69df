package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// fullNode and fullRecorder have their data on small disks of their own, which a fault can fill.
const (
	fullNode     = "nats3"
	fullRecorder = "recorder2"
	diskSize     = "96m"
)

// disk is a small tmpfs, named after the process that has its data there.
type disk struct{ of, path string }

// smallDisk mounts one.
func (c *cluster) smallDisk(of, folder string) (string, error) {
	path := filepath.Join(c.dir, "data", folder)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", err
	}
	if out, err := asRoot("mount", "-t", "tmpfs", "-o", "size="+diskSize+",mode=0777", "airloom-check", path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount a small disk at %s: run as root where mounting is allowed (in a container: --privileged), or allow sudo without a password: %w: %s", path, err, out)
	}
	c.disks = append(c.disks, &disk{of, path})
	return path, nil
}

func (c *cluster) disk(of string) *disk {
	for _, d := range c.disks {
		if d.of == of {
			return d
		}
	}
	panic("check: no disk of " + of)
}

// blobFolder is where a recorder stores: a folder of its own, so that two can be compared, or the same for both.
func (c *cluster) blobFolder(name string, shared bool) (string, error) {
	switch {
	case name == fullRecorder:
		for _, d := range c.disks {
			if d.of == fullRecorder {
				return d.path, nil
			}
		}
		return c.smallDisk(name, "blob-"+name)
	case shared:
		return c.blobFolder(fullRecorder, true)
	}
	path := filepath.Join(c.dir, "data", "blob-"+name)
	return path, os.MkdirAll(path, 0o755)
}

func (d *disk) ballast() string { return filepath.Join(d.path, ".ballast") }

// fill leaves no byte free.
func (d *disk) fill() error {
	f, err := os.Create(d.ballast())
	if err != nil {
		return fmt.Errorf("fill %s: %w", d.path, err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; size /= 2 { // whole megabytes first, then what is left
		for err == nil {
			_, err = io.CopyN(f, zeros{}, int64(size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill %s: %w", d.path, err)
		}
		err = nil
	}
	return nil
}

func (d *disk) free() error {
	if err := os.Remove(d.ballast()); err != nil {
		return fmt.Errorf("free %s: %w", d.path, err)
	}
	return nil
}

// unmount keeps what is on the disk in the folder below it: a failed run wants it.
func (d *disk) unmount() {
	keep := d.path + ".kept"
	_ = exec.Command("cp", "-a", d.path, keep).Run() // for whoever looks at it; the run is over
	if err := asRoot("umount", d.path).Run(); err != nil {
		_ = asRoot("umount", "-l", d.path).Run()
	}
	if os.Remove(d.path) == nil {
		_ = os.Rename(keep, d.path)
	}
}

// asRoot is for mounting alone.
func asRoot(name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		return exec.Command(name, args...)
	}
	return exec.Command("sudo", append([]string{"-n", name}, args...)...)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
