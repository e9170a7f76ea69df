package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

type doctorCmd struct {
	Listen string `default:"127.0.0.1:8080" help:"Address on which airloom is to serve."`
	Data   string `type:"path" placeholder:"DIR" help:"Folder for the log and recordings; it is not made (default: that of airloom up)."`
	NATS   string `name:"nats" help:"Check this NATS too (URL)."`
	URL    string `name:"url" help:"Check this edge too (URL)."`
	JSON   bool   `name:"json" help:"Print one object."`

	Monitors []string `name:"nats-monitor" placeholder:"URL,..." help:"Check how these nats-servers sync: addresses of their monitoring ports, as http://127.0.0.1:8222."`
}

// Help is printed below the flags.
func (doctorCmd) Help() string {
	return "Looks only: nothing is installed, made or changed. Exits 1 when something that is required is wrong.\n\n" +
		"Example:  airloom doctor --listen 0.0.0.0:8080 --data /var/lib/airloom --nats nats://127.0.0.1:4222"
}

// finding is the outcome of one check.
type finding struct {
	Check    string `json:"check"`
	OK       bool   `json:"ok"`
	Required bool   `json:"required"`
	Found    string `json:"found"`
	Todo     string `json:"todo,omitempty"`
}

// Run checks.
func (c *doctorCmd) Run(p *program) error {
	ctx, cancel := context.WithTimeout(p.ctx, 20*time.Second)
	defer cancel()
	if c.Data == "" {
		c.Data = filepath.Join(dataHome(), "airloom")
	}
	findings := []finding{
		checkPort(ctx, c.Listen), checkData(c.Data), checkDisk(c.Data), checkClock(), checkFFmpeg(ctx),
	}
	if c.NATS != "" {
		findings = append(findings, checkNATS(ctx, c.NATS))
	}
	for _, monitor := range c.Monitors {
		findings = append(findings, checkSync(ctx, monitor))
	}
	if c.URL != "" {
		findings = append(findings, checkEdge(ctx, c.URL)...)
	}
	wrong := 0
	for _, f := range findings {
		if !f.OK && f.Required {
			wrong++
		}
	}
	if err := c.report(p, findings, wrong == 0); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("%d required things are wrong", wrong)
	}
	return nil
}

func (c *doctorCmd) report(p *program, findings []finding, well bool) error {
	if c.JSON {
		return p.json(map[string]any{"ok": well, "checks": findings})
	}
	for _, f := range findings {
		sign := "ok  "
		switch {
		case !f.OK && f.Required:
			sign = "FAIL"
		case !f.OK:
			sign = "warn"
		}
		fmt.Fprintf(p.out, "%s  %-7s %s\n", sign, f.Check, f.Found)
		if f.Todo != "" {
			fmt.Fprintf(p.out, "      %s\n", f.Todo)
		}
	}
	return nil
}
