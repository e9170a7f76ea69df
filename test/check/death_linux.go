package main

import "syscall"

// diesWithUs has the kernel end a process when the checker ends without a clean-up (a timeout, a kill -9).
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
