package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// json prints one object as the only thing on a line.
func (p *program) json(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the result: %w", err)
	}
	_, err = fmt.Fprintf(p.out, "%s\n", b)
	return err
}

// cell is a word of somebody's choice as it stands in a table: quoted only where one could not tell it from what is around it.
func cell(s string) string {
	quoted := strconv.Quote(s)
	if quoted != `"`+s+`"` || strings.TrimSpace(s) != s || s == "" || strings.Contains(s, "  ") || strings.Contains(s, ", ") {
		return quoted
	}
	return s
}

// progress is a line on a terminal that is written over until it is done. The zero value, and one for a program whose
// stderr is no terminal, writes nothing but notes. Any goroutine may use it.
type progress struct {
	p      *program
	mu     sync.Mutex
	last   time.Time
	length int
}

func (p *program) progress(silent bool) *progress {
	if silent || !p.terminal {
		return &progress{}
	}
	return &progress{p: p}
}

// due says whether it is time for another line (4/s).
func (g *progress) due() bool {
	if g.p == nil || time.Since(g.last) < 250*time.Millisecond {
		return false
	}
	g.last = time.Now()
	return true
}

func (g *progress) show(format string, args ...any) {
	if g.p == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	pad := max(0, g.length-len(line))
	g.length = len(line)
	fmt.Fprintf(g.p.errs, "\r%s%s", line, strings.Repeat(" ", pad))
}

// done wipes the line.
func (g *progress) done() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wipe()
}

func (g *progress) wipe() {
	if g.p != nil && g.length > 0 {
		fmt.Fprintf(g.p.errs, "\r%s\r", strings.Repeat(" ", g.length))
		g.length = 0
	}
}

// note prints a remark without tearing the progress line.
func (g *progress) note(p *program, format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wipe()
	fmt.Fprintf(p.errs, "airloom: "+format+"\n", args...)
}

func ms(d time.Duration) float64 {
	return float64(d.Round(10*time.Microsecond)) / float64(time.Millisecond)
}
