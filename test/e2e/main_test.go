// Package e2e runs airloom as its users do: the one binary and real nats-servers as processes of their own, which are
// interrupted, killed with -9 and started again, and real speech in Opus. It owns no product code; what a test here
// says is a promise of README.md, docs/wire.md or docs/events.md, seen from outside.
package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// What TestMain makes once for all tests.
var (
	airloom    string // the binary
	natsServer string // nats-server of the version in go.mod
	speechWAV  string // ~30 s of speech as it comes
	speechOpus string // the same in Ogg Opus, frames of 20 ms
)

const recorded = "/usr/share/asterisk/sounds/en_US_f_Allison/demo-congrats.wav" // 30 s, 8 kHz

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "airloom-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "set-up:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := setUp(dir); err != nil {
		fmt.Fprintln(os.Stderr, "set-up:", err)
		return 1
	}
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// setUp builds the programs and makes the sound.
func setUp(dir string) error {
	airloom, natsServer = filepath.Join(dir, "airloom"), filepath.Join(dir, "nats-server")
	speechWAV, speechOpus = recorded, filepath.Join(dir, "speech.opus")
	for _, tool := range []struct{ name, debian string }{
		{"opusenc", "opus-tools"}, {"opusinfo", "opus-tools"}, {"oggz-validate", "oggz-tools"}, {"ffmpeg", "ffmpeg"},
	} {
		if _, err := exec.LookPath(tool.name); err != nil {
			return fmt.Errorf("%s is missing: apt-get install %s", tool.name, tool.debian)
		}
	}
	if _, err := os.Stat(recorded); err != nil {
		return fmt.Errorf("recorded speech is missing: apt-get install asterisk-core-sounds-en-wav: %w", err)
	}
	return errors.Join(
		command("go", "build", "-buildvcs=false", "-o", airloom, "airloom/cmd/airloom"),
		command("go", "build", "-buildvcs=false", "-o", natsServer, "github.com/nats-io/nats-server/v2"),
		command("opusenc", "--quiet", "--bitrate", "24", "--framesize", "20", recorded, speechOpus),
	)
}

func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}
