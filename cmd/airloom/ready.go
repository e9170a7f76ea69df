package main

import (
	"context"
	"fmt"
	"time"
)

// sayReady prints the line on stdout that says a service serves.
func (p *program) sayReady(ctx context.Context, ready func() bool, line string) error {
	for !ready() {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
	fmt.Fprintln(p.out, line)
	<-ctx.Done()
	return nil
}
