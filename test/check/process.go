package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is one program of the run, which faults kill, freeze and start again. It keeps its name, arguments, folder and log through all of
// that. Any goroutine may use it; a fault holds it alone (see cluster.hold).
type process struct {
	name string
	path string
	args []string
	env  []string
	log  string // file that stdout and stderr are appended to
	died func(name, how string)

	fault sync.Mutex // held by the fault that it suffers; taken before mu

	mu       sync.Mutex
	cmd      *exec.Cmd
	done     chan struct{} // closed when cmd has ended
	expected bool          // somebody here ends it
}

// start runs the program; it must not be running.
func (p *process) start() error {
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	defer out.Close() // the child has its own
	fmt.Fprintf(out, "-- %s starts %s\n", p.name, time.Now().UTC().Format(time.RFC3339Nano))
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir = p.env, filepath.Dir(p.log)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = diesWithUs()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done, p.expected = cmd, done, false
	go p.await(cmd, done)
	return nil
}

// await reports a process that ended though nobody here ended it.
func (p *process) await(cmd *exec.Cmd, done chan struct{}) {
	_ = cmd.Wait() // the state says how
	p.mu.Lock()
	expected := p.expected
	p.mu.Unlock()
	close(done)
	if !expected {
		p.died(p.name, cmd.ProcessState.String())
	}
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill() error {
	if err := p.end(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.ended()
	return nil
}

// stop asks the process to end and waits so long; one that does not is killed, and that is an error.
func (p *process) stop(within time.Duration) error {
	if err := p.end(syscall.SIGTERM); err != nil {
		return err
	}
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-p.ended():
		return nil
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s still runs %v after SIGTERM", p.name, within), p.kill())
	}
}

func (p *process) end(s syscall.Signal) error {
	p.mu.Lock()
	p.expected = true
	p.mu.Unlock()
	return p.signal(s)
}

// signal sends a signal; to a process that is gone it is none.
func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s: %w", s, p.name, err)
	}
	return nil
}

var gone = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// ended is closed when the process is not running.
func (p *process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return gone
	}
	return p.done
}

func (p *process) running() bool {
	select {
	case <-p.ended():
		return false
	default:
		return true
	}
}

// code is the exit code of a process that has ended.
func (p *process) code() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState.ExitCode()
}
