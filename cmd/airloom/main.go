// Command airloom is all of airloom in one binary: each service is a subcommand, and so is everything a person does at
// a shell. This file owns what they share: flags and AIRLOOM_* variables, signals, how errors are told, exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitKilled = 130 // a second Ctrl-C
)

// commands is the grammar: one field per subcommand, in the order of the help. A new one is a struct with flags as
// fields and a method Run(*program) error.
type commands struct {
	Up       upCmd       `cmd:"" group:"services" help:"Run everything in one process."`
	Edge     edgeCmd     `cmd:"" group:"services" help:"Run an edge: the door for participants."`
	Presence presenceCmd `cmd:"" group:"services" help:"Run presence: who is in which room."`
	Recorder recorderCmd `cmd:"" group:"services" help:"Run a recorder."`
	Log      logCmd      `cmd:"" group:"services" help:"Make the log's streams in NATS, and its users."`

	Publish   publishCmd   `cmd:"" group:"sound" help:"Send a file or a pipe into a room."`
	Listen    listenCmd    `cmd:"" group:"sound" help:"Listen to a room: count, measure, write files."`
	Room      roomCmd      `cmd:"" group:"rooms" help:"List, show, make, close and record rooms."`
	Recording RecordingCmd `cmd:"" group:"rooms" help:"List, fetch, verify and export recordings."`
	Key       keyCmd       `cmd:"" group:"access" help:"Make a key pair that signs tokens or recordings."`
	Token     tokenCmd     `cmd:"" group:"access" help:"Make a token that lets somebody into a room."`
	Bench     benchCmd     `cmd:"" group:"care" help:"Measure a running airloom."`
	Doctor    doctorCmd    `cmd:"" group:"care" help:"Check what airloom needs and say what to do."`

	Version versionFlag `help:"Print the version and exit." env:"-"`
}

// program is what a subcommand gets to work with.
type program struct {
	ctx      context.Context // ends at the first Ctrl-C or SIGTERM
	in       io.Reader
	out      io.Writer
	errs     io.Writer
	terminal bool // errs is a terminal: progress lines make sense
}

func main() {
	ctx, stop := interruptible()
	defer stop()
	p := &program{ctx: ctx, in: os.Stdin, out: os.Stdout, errs: os.Stderr, terminal: isTerminal(os.Stderr)}
	os.Exit(p.run(os.Args[1:]))
}

// run is main without the process: it gives the exit code.
func (p *program) run(args []string) int {
	var grammar commands
	exited := -1
	parser, err := kong.New(&grammar,
		kong.Name("airloom"),
		kong.Description("A distributed audio fabric. Try it:  airloom up"),
		kong.DefaultEnvars("AIRLOOM"),
		kong.WithHyphenPrefixedParameters(true), // listen --from -30s
		kong.Writers(p.out, p.errs),
		kong.Exit(func(code int) { exited = code; panic(stopParsing{}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.ExplicitGroups(groups),
		kong.BindTo(p.ctx, (*context.Context)(nil)),
		kong.Bind(p),
	)
	if err != nil {
		fmt.Fprintf(p.errs, "airloom: the command line's own grammar is wrong: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	selected, err := parse(parser, args)
	switch {
	case exited >= 0:
		return exited
	case err != nil:
		return p.tell(usage(err))
	}
	return p.tell(selected.Run())
}

var groups = []kong.Group{
	{Key: "services", Title: "Services"},
	{Key: "sound", Title: "Sound"},
	{Key: "rooms", Title: "Rooms and recordings"},
	{Key: "access", Title: "Keys and tokens"},
	{Key: "care", Title: "Care"},
}

// stopParsing unwinds the parser once help or version is printed, which kong leaves to os.Exit.
type stopParsing struct{}

func parse(parser *kong.Kong, args []string) (selected *kong.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(stopParsing); !ok {
				panic(r)
			}
		}
	}()
	return parser.Parse(args)
}

// usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usage(err error) error { return usageError{err} }

// tell prints an error with what to do about it, and gives the exit code.
func (p *program) tell(err error) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.errs, "airloom: %v\n", err)
	if todo := advice(err); todo != "" {
		fmt.Fprintf(p.errs, "  %s\n", todo)
	}
	var wrong usageError
	if errors.As(err, &wrong) {
		return exitUsage
	}
	return exitFailed
}

// interruptible gives a context that the first signal ends; the second one ends the process.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitKilled)
	}()
	return ctx, cancel
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// version is set by the linker for releases.
var version = ""

type versionFlag bool

// BeforeReset prints the version before anything else is looked at.
func (versionFlag) BeforeReset(app *kong.Kong) error {
	fmt.Fprintf(app.Stdout, "airloom %s\n", versionString())
	app.Exit(exitOK)
	return nil
}

func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = " " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = " (changed)"
		}
	}
	return "dev" + revision + dirty
}
