package main

import "fmt"

// promise is one thing that holds under every fault, and what was found of it.
type promise struct {
	name    string
	numbers string   // what was looked at, for a run that passes
	broken  []string // how it was broken
}

func (p *promise) breaks(format string, args ...any) {
	p.broken = append(p.broken, fmt.Sprintf(format, args...))
}

func (p *promise) saw(format string, args ...any) { p.numbers = fmt.Sprintf(format, args...) }

// findings are the promises in the order in which they are told.
type findings struct{ promises []*promise }

func (f *findings) promise(name string) *promise {
	p := &promise{name: name}
	f.promises = append(f.promises, p)
	return p
}

func (f *findings) fail(name, format string, args ...any) { f.promise(name).breaks(format, args...) }

// first is the first promise that was broken, nil for none.
func (f *findings) first() *promise {
	for _, p := range f.promises {
		if len(p.broken) > 0 {
			return p
		}
	}
	return nil
}

const shown = 12 // of what is wrong with one promise

// report prints what was found: a line for each promise, or all that helps to understand what broke.
func (r *run) report(schedule *schedule, found *findings) error {
	out := r.cfg.Out
	first := found.first()
	if first != nil && !r.cfg.Verbose {
		r.mu.Lock()
		for _, line := range r.timeline {
			fmt.Fprintln(out, line)
		}
		r.mu.Unlock()
	}
	for _, p := range found.promises {
		if len(p.broken) == 0 && p.numbers == "" {
			fmt.Fprintf(out, "-       %s: not looked at, something else was broken before\n", p.name)
			continue
		}
		if len(p.broken) == 0 {
			fmt.Fprintf(out, "ok      %s: %s\n", p.name, p.numbers)
			continue
		}
		fmt.Fprintf(out, "BROKEN  %s\n", p.name)
		for _, what := range p.broken[:min(shown, len(p.broken))] {
			fmt.Fprintf(out, "        %s\n", what)
		}
		if more := len(p.broken) - shown; more > 0 {
			fmt.Fprintf(out, "        and %d more\n", more)
		}
	}
	if first == nil {
		fmt.Fprintf(out, "ok      all of that through %d faults: %s\n", len(schedule.faults), schedule)
		return nil
	}
	fmt.Fprintf(out, "data and logs: %s\nthe same again: %s\n(the schedule follows from the seed; processes, disks and the network are real and may behave otherwise)\n", r.cfg.Dir, r.cfg.again())
	return fmt.Errorf("%w: %s", errBroken, first.name)
}
