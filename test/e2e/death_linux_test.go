package e2e

import "syscall"

// diesWithUs has the kernel end a process when the tests end without a clean-up (a timeout, a Ctrl-C).
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
