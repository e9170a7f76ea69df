package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"airloom/internal/participant"
)

const (
	followQuiet   = 15 * time.Second // an edge says at least an empty line every 5 s
	followBackoff = 5 * time.Second  // between two attempts, at most
	maxLine       = 1 << 20
)

type roomEventsCmd struct {
	Room   roomName `arg:"" help:"Room."`
	Follow bool     `help:"Go on as new events come, over edges that go away, until Ctrl-C."`
	After  uint64   `help:"Only events behind this position."`
	JSON   bool     `name:"json" help:"As always: one JSON object per line."`
}

// Help is printed below the flags.
func (roomEventsCmd) Help() string {
	return "When the edge goes away, --follow asks it again, or the next address of --url, behind the last event it printed: none is printed twice or " +
		"left out.\n\nExample:  airloom room events town-hall --follow | jq -r .type"
}

// Run prints events.
func (c *roomEventsCmd) Run(p *program, at *roomCmd) error {
	f := &eventFollower{p: p, room: string(c.Room), after: c.After, follow: c.Follow}
	addresses := participant.Addresses(at.URL)
	for try := 0; ; try++ {
		edge := at.remote
		edge.URL = addresses[try%len(addresses)]
		err := f.once(edge)
		switch {
		case p.ctx.Err() != nil:
			return nil // Ctrl-C is how --follow ends
		case err == nil && !c.Follow, err != nil && f.final(err) && try+1 >= len(addresses):
			return err
		}
		if !f.wait(err, edge.URL) {
			return nil
		}
	}
}

// eventFollower prints a room's events and knows how far it is.
type eventFollower struct {
	p      *program
	room   string
	after  uint64 // position of the last event printed
	follow bool

	answered bool // an edge has given events, or would have if there were any
	failures int  // since the last answer
}

// once asks one edge for the events behind the last one and prints them until its answer ends.
func (f *eventFollower) once(edge remote) error {
	ctx, cancel := context.WithCancelCause(f.p.ctx)
	defer cancel(nil)
	ask := url.Values{}
	if f.follow {
		ask.Set("follow", "true")
	}
	if f.after > 0 {
		ask.Set("after", strconv.FormatUint(f.after, 10))
	}
	quiet := time.AfterFunc(followQuiet, func() { cancel(errQuiet) })
	defer quiet.Stop()
	a, err := edge.api(f.p)
	if err != nil {
		return err
	}
	content, err := a.do(ctx, http.MethodGet, "v1/rooms/"+f.room+"/events", ask, nil)
	if err == nil {
		defer content.Close()
		f.back()
		err = eachLine(content, func(line []byte) error {
			quiet.Reset(followQuiet)
			return f.print(line)
		})
	}
	if cause := context.Cause(ctx); errors.Is(cause, errQuiet) {
		return cause
	}
	return err
}

var errQuiet = fmt.Errorf("nothing was heard for %v", followQuiet)

// errOutput says that what is read cannot be written: to ask again would not help.
type errOutput struct{ error }

func (f *eventFollower) print(line []byte) error {
	if len(line) == 0 {
		return nil // keeps the answer alive
	}
	var e struct {
		Position uint64 `json:"position"`
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if e.Position <= f.after {
		return nil
	}
	if _, err := fmt.Fprintf(f.p.out, "%s\n", line); err != nil {
		return errOutput{fmt.Errorf("write events: %w", err)}
	}
	f.after = e.Position
	return nil
}

// final says that asking again is of no use: the edge refuses, or no edge was ever there.
func (f *eventFollower) final(err error) bool {
	var problem *participant.Problem
	if errors.As(err, &problem) && f.follow {
		f.answered = true // there is an edge, and it may be well again
		return problem.Status/100 == 4 && problem.Status != http.StatusTooManyRequests
	}
	var output errOutput
	return !f.follow || !f.answered || errors.As(err, &output)
}

// back notes that an edge answers, and tells it if it was told that none did.
func (f *eventFollower) back() {
	if f.failures > 0 {
		fmt.Fprintf(f.p.errs, "airloom: an edge answers again: going on behind event %d\n", f.after)
	}
	f.answered, f.failures = true, 0
}

// wait tells once that the answer has ended, and waits with full jitter; false where the program is to end.
func (f *eventFollower) wait(why error, at string) bool {
	if f.failures++; f.failures == 1 {
		reason := "the edge has ended it"
		if why != nil {
			reason = why.Error()
		}
		fmt.Fprintf(f.p.errs, "airloom: the events of %s from %s have stopped (%s): asking again, nothing is left out\n", f.room, at, reason)
	}
	most := min(followBackoff, 250*time.Millisecond<<min(f.failures, 8))
	select {
	case <-f.p.ctx.Done():
		return false
	case <-time.After(rand.N(most)):
		return true
	}
}

// eachLine calls f with each whole line. An answer that is cut within a line is an error.
func eachLine(content io.Reader, f func([]byte) error) error {
	lines := bufio.NewReaderSize(content, maxLine)
	for {
		line, err := lines.ReadSlice('\n')
		switch {
		case err == nil:
			if err := f(line[:len(line)-1]); err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("read events: %w", err)
	}
}
