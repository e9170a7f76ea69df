package edge

import (
	"syscall"
	"unsafe"
)

// writev is writev(2) without waiting: the socket is in non-blocking mode, as all sockets of Go's poller are.
func writev(fd uintptr, vectors []syscall.Iovec) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&vectors[0])), uintptr(len(vectors)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
