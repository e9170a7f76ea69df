package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a running program. Its end is the test's: what still runs then is killed by its pid, and what it said is shown
// when the test failed.
type process struct {
	name      string
	cmd       *exec.Cmd
	out, errs output
	done      chan struct{} // closed when it has ended
}

// output keeps what a process writes; any goroutine may read it.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of it, for messages.
func (o *output) tail() string {
	lines := strings.Split(strings.TrimSpace(o.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// start starts a program with env added to a clean environment.
func start(t *testing.T, name string, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Env = append(cleanEnv(), env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errs
	p.cmd.SysProcAttr = diesWithUs()
	p.cmd.WaitDelay = 2 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says how it ended
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s (pid %d, %v) said:\n%s\n%s", p.name, p.cmd.Process.Pid, p.cmd.ProcessState, p.out.tail(), p.errs.tail())
		}
	})
	return p
}

// cleanEnv is the environment without settings of airloom's and OpenTelemetry's: a developer's own must not matter here.
func cleanEnv() (env []string) {
	for _, one := range os.Environ() {
		if !strings.HasPrefix(one, "AIRLOOM_") && !strings.HasPrefix(one, "OTEL_") {
			env = append(env, one)
		}
	}
	return env
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may be gone already
	<-p.done
}

// freeze stops a process without its noticing, as a machine that hangs; thaw lets it go on.
func (p *process) freeze(t *testing.T) { t.Helper(); p.signal(t, syscall.SIGSTOP) }
func (p *process) thaw(t *testing.T)   { t.Helper(); p.signal(t, syscall.SIGCONT) }

// interrupt is Ctrl-C.
func (p *process) interrupt(t *testing.T) { t.Helper(); p.signal(t, syscall.SIGINT) }

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to %s: %v", s, p.name, err)
	}
}

// wait gives the exit code.
func (p *process) wait(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		t.Fatalf("%s still runs after %v", p.name, within)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// ready waits for the line "ready ..." on stdout and gives the rest of it.
func (p *process) ready(t *testing.T) string {
	t.Helper()
	var what string
	eventually(t, 20*time.Second, p.name+" is ready", func() bool {
		if !p.running() {
			t.Fatalf("%s ended before it was ready: %v\n%s", p.name, p.cmd.ProcessState, p.errs.tail())
		}
		for line := range strings.Lines(p.out.String()) {
			if rest, ok := strings.CutPrefix(line, "ready "); ok && strings.HasSuffix(line, "\n") {
				what = strings.TrimSpace(rest)
				return true
			}
		}
		return false
	})
	return what
}

// eventually polls until the condition holds.
func eventually(t *testing.T, within time.Duration, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); !holds(); {
		select {
		case <-ctx.Done():
			tick.Stop()
			t.Fatalf("not within %v: %s", within, what)
		case <-tick.C:
		}
	}
}
