// Package load has what the fan-out bench measures with: very many listeners that cost little, and the servers that an edge is
// compared with, a bare loop of write(2) and a plain hub of goroutines and channels. It is for Linux alone: it counts on epoll.
package load
