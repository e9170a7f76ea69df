package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
)

// checkAlive tells who ended without being asked, or did not though asked.
func (r *run) checkAlive(p *promise) {
	dead, slow := r.cluster.fell()
	for _, who := range dead {
		p.breaks("%s ended by itself", who)
	}
	for _, what := range slow {
		p.breaks("%s", what)
	}
	p.saw("%d processes", len(r.cluster.all))
}

var alarming = regexp.MustCompile(`panic:|ALARM|fatal error:|DATA RACE|level=ERROR.*permissions violation`)

// checkLogs reads what the processes wrote. No fault explains an alarm: one replica at most is damaged, so somebody always has what is missing, and none
// is away for as long as it takes to say so.
func (r *run) checkLogs(p *promise) {
	lines := 0
	for _, proc := range r.cluster.all {
		file, err := os.Open(proc.log)
		if err != nil {
			p.breaks("%v", err)
			continue
		}
		scan := bufio.NewScanner(file)
		scan.Buffer(nil, 1<<20)
		for scan.Scan() {
			lines++
			line := scan.Text()
			if alarming.MatchString(line) {
				p.breaks("%s: %.400s", filepath.Base(proc.log), line)
			}
		}
		file.Close()
	}
	p.saw("%d lines of %d processes", lines, len(r.cluster.all))
}
