package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports lie below those that the kernel gives to outgoing connections: a server that is killed must find its own one free again.
const (
	portsFrom = 17000
	portsTo   = 32000
)

// freeAddrs gives loopback addresses that nobody listens on. Where they lie is no part of what the seed decides: runs may work side by side.
func freeAddrs(n int) (addrs []string, err error) {
	port := portsFrom + rand.IntN(portsTo-portsFrom)
	for tries := 0; len(addrs) < n && tries < portsTo-portsFrom; tries++ {
		if port++; port >= portsTo {
			port = portsFrom
		}
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		l.Close()
		addrs = append(addrs, addr)
	}
	if len(addrs) < n {
		return nil, fmt.Errorf("find %d free ports from %d to %d: there are %d", n, portsFrom, portsTo, len(addrs))
	}
	return addrs, nil
}
