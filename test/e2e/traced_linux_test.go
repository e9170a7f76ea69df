package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// traced is a process whose system calls are written down, in order, by strace as its own child: signals go to the process itself.
type traced struct {
	*process
	path string
}

// startTraced starts a program under strace, which is set-up's to install.
func startTraced(t *testing.T, name, calls string, program string, args ...string) *traced {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("strace is missing: apt-get install strace: %v", err)
	}
	path := filepath.Join(t.TempDir(), "calls")
	all := []string{"-D", "-f", "-q", "-y", "-s", "100000", "-e", "trace=" + calls, "-e", "signal=none", "-o", path, program}
	return &traced{start(t, name, nil, "strace", append(all, args...)...), path}
}

// call is one system call that strace saw.
type call struct {
	name string
	file string // that its first descriptor names; "socket:[…]" and the like for others
	text string // its arguments as strace prints them
}

func (c call) syncs() bool { return c.name == "fsync" || c.name == "fdatasync" }

var (
	whole   = regexp.MustCompile(`^(\d+) +(\w+)\((?:\d+<([^>]*)>)?(.*) = -?\d+`)
	begun   = regexp.MustCompile(`^(\d+) +(\w+)\((?:\d+<([^>]*)>)?(.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>.* = -?\d+`)
)

// end stops the process and gives its calls in order: those that sync count where they returned, all others where they were
// entered.
func (p *traced) end(t *testing.T) (calls []call) {
	t.Helper()
	pid := p.cmd.Process.Pid
	p.interrupt(t)
	p.wait(t, time.Minute)
	over := regexp.MustCompile(fmt.Sprintf(`(?m)^%d +\+\+\+ exited`, pid)) // strace pads short ones
	var text string
	eventually(t, 20*time.Second, "strace has written all", func() bool {
		body, err := os.ReadFile(p.path)
		text = string(body)
		return err == nil && over.MatchString(text)
	})
	open := map[string]call{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := begun.FindStringSubmatch(line); m != nil {
			c := call{m[2], m[3], m[4]}
			if open[m[1]+m[2]] = c; !c.syncs() {
				calls = append(calls, c)
			}
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			if c := open[m[1]+m[2]]; c.syncs() {
				calls = append(calls, c)
			}
		} else if m := whole.FindStringSubmatch(line); m != nil {
			calls = append(calls, call{m[2], m[3], m[4]})
		}
	}
	if len(calls) == 0 {
		t.Fatalf("strace has written no calls: %.500s", text)
	}
	return calls
}
