package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

const openWithin = 20 * time.Second

// open does the handshake and says hello, and gives the bare socket with what had come behind the welcome.
func open(ctx context.Context, target string, hello []byte) (fd int, leftover []byte, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, nil, fmt.Errorf("listen to %s: %w", target, err)
	}
	dialer := net.Dialer{Timeout: openWithin}
	c, err := dialer.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return 0, nil, fmt.Errorf("listen to %s: %w", target, err)
	}
	defer c.Close() // the socket goes on under another descriptor
	_ = c.SetDeadline(time.Now().Add(openWithin))
	r := bufio.NewReaderSize(c, 16<<10)
	if err := upgrade(c, r, u); err != nil {
		return 0, nil, fmt.Errorf("listen to %s: %w", target, err)
	}
	if hello != nil {
		if err := welcome(c, r, hello); err != nil {
			return 0, nil, fmt.Errorf("listen to %s: %w", target, err)
		}
	}
	leftover, _ = r.Peek(r.Buffered())
	if fd, err = bare(c.(*net.TCPConn)); err != nil {
		return 0, nil, fmt.Errorf("listen to %s: %w", target, err)
	}
	return fd, leftover, nil
}

func upgrade(w io.Writer, r *bufio.Reader, u *url.URL) error {
	_, err := fmt.Fprintf(w, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", u.RequestURI(), u.Host)
	if err != nil {
		return err
	}
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("handshake: %s", answer.Status)
	}
	return nil
}

// welcome says hello and reads up to the answer to it, the first text message.
func welcome(w io.Writer, r *bufio.Reader, hello []byte) error {
	if _, err := w.Write(appendMasked(nil, opText, hello)); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	var got []byte
	for {
		b, err := r.Peek(max(1, r.Buffered()))
		if err != nil {
			return fmt.Errorf("wait for the welcome: %w", err)
		}
		had := len(got)
		got = append(got, b...)
		opcode, payload, rest, err := message(got)
		if err != nil {
			return fmt.Errorf("wait for the welcome: %w", err)
		}
		used := len(got) - had
		if opcode != 0 {
			used = len(got) - len(rest) - had
			got = got[:0]
		}
		_, _ = r.Discard(used) // it was peeked at
		switch opcode {
		case opText:
			if len(payload) > 40 && string(payload[:17]) == `{"type":"welcome"` {
				return nil
			}
			return fmt.Errorf("the server says %.200s", payload)
		case opClose:
			return errors.New("the server closes instead of a welcome")
		}
	}
}

// bare takes the descriptor out of Go's own poller, which would be woken for every message.
func bare(c *net.TCPConn) (fd int, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if ctl := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); ctl != nil {
		return 0, ctl
	}
	if err != nil {
		return 0, fmt.Errorf("keep the socket: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return 0, errors.Join(fmt.Errorf("keep the socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}
