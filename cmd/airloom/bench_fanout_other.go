//go:build !linux

package main

import "errors"

type (
	benchFanoutCmd       struct{}
	benchFanoutServerCmd struct{}
)

var errLinuxOnly = errors.New("this bench counts on epoll: it runs on Linux alone")

// Run says that it cannot.
func (benchFanoutCmd) Run() error { return errLinuxOnly }

// Run says that it cannot.
func (benchFanoutServerCmd) Run() error { return errLinuxOnly }
