//go:build unix && !linux

package edge

import (
	"syscall"
	"unsafe"
)

// writev writes one vector after the other without waiting, up to the first that does not go in whole.
func writev(fd uintptr, vectors []syscall.Iovec) (wrote int, errno syscall.Errno) {
	for _, v := range vectors {
		b := unsafe.Slice(v.Base, int(v.Len))
		n, err := syscall.Write(int(fd), b)
		if err != nil {
			errno, _ = err.(syscall.Errno) // syscall.Write gives nothing else
			if wrote > 0 {
				return wrote, 0 // as writev(2): the next call tells
			}
			return 0, errno
		}
		wrote += n
		if n < len(b) {
			break
		}
	}
	return wrote, 0
}
