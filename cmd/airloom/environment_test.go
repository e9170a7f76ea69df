package main

import (
	"fmt"
	"iter"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// oneMeaning lists variables that several commands describe in different words and that mean the same to all of them. A flag whose
// variable would mean something else to another command has none (env:"-").
var oneMeaning = map[string]string{
	"AIRLOOM_BLOB":    "where recordings are kept",
	"AIRLOOM_CLUSTER": "the cluster: the audience of tokens",
	"AIRLOOM_DATA":    "the folder of `airloom up`",
	"AIRLOOM_JSON":    "answers are JSON",
	"AIRLOOM_KEEP":    "what is kept of rooms that nobody has set",
	"AIRLOOM_LISTEN":  "the address of the door",
	"AIRLOOM_NATS":    "URL of NATS",
	"AIRLOOM_ROOM":    "the room to be in",
	"AIRLOOM_URL":     "URL of an edge",
}

func TestAVariableMeansTheSameEverywhere(t *testing.T) {
	type use struct {
		command, help string
		kind          reflect.Kind
	}
	uses := map[string][]use{}
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("AIRLOOM"))
	if err != nil {
		t.Fatal(err)
	}
	for node := range nodes(parser.Model.Node) {
		for _, flag := range node.Flags {
			for _, variable := range flag.Envs {
				uses[variable] = append(uses[variable], use{node.Path(), flag.Help, flag.Target.Kind()})
			}
		}
	}
	for variable, all := range uses {
		for _, one := range all[1:] {
			if one.kind != all[0].kind {
				t.Errorf("%s is a %s to %q and a %s to %q", variable, all[0].kind, all[0].command, one.kind, one.command)
			}
			if one.help != all[0].help && oneMeaning[variable] == "" {
				t.Errorf("%s: does it mean the same to %q and %q?\n  %s\n  %s", variable, all[0].command, one.command, all[0].help, one.help)
			}
		}
	}
	for variable := range oneMeaning {
		if len(uses[variable]) < 2 {
			t.Errorf("%s is listed and not shared", variable)
		}
	}
}

// nodes walks a command and those below it.
func nodes(n *kong.Node) iter.Seq[*kong.Node] {
	return func(yield func(*kong.Node) bool) {
		if !yield(n) {
			return
		}
		for _, child := range n.Children {
			for below := range nodes(child) {
				if !yield(below) {
					return
				}
			}
		}
	}
}

// What a token says comes from the command line: settings of services and of other commands neither widen nor break it.
func TestATokenTakesNothingFromTheEnvironment(t *testing.T) {
	key := filepath.Join(t.TempDir(), "k.pem")
	if r := airloom(t, "key", key); r.code != exitOK {
		t.Fatal(r.errs)
	}
	args := []string{"token", "--key", key, "--room", "hall", "--identity", "ada", "--json"}
	flags := map[string]string{
		"KEY": "/etc/airloom/keys/airloom.pub", "LISTEN": "0.0.0.0:8080", "SPEAK": "1", "MODERATE": "1", "RECORD": "1", "MINT": "1",
		"ROOM": "other", "IDENTITY": "eve", "NAME": "Eve", "TTL": "24h",
	}
	for name, value := range flags {
		t.Setenv("AIRLOOM_"+name, value)
	}
	if r := airloom(t, args...); r.code != exitUsage || !strings.Contains(r.errs, "without rights") {
		t.Errorf("a right came from the environment: %d %q %q", r.code, r.out, r.errs)
	}
	r := airloom(t, append(args, "--speak")...)
	got := decodeJSON[struct {
		Room, Identity, Name string
		Grants               map[string]bool
	}](t, r)
	var granted []string
	for right, has := range got.Grants {
		if has {
			granted = append(granted, right)
		}
	}
	if got.Room != "hall" || got.Identity != "ada" || strings.Contains(got.Name, "Eve") || !slices.Equal(granted, []string{"speak"}) {
		t.Errorf("%+v", got)
	}
	for _, required := range []string{"--key", "--room", "--identity"} {
		at := slices.Index(args, required)
		if r := airloom(t, slices.Delete(slices.Clone(args), at, at+2)...); r.code != exitUsage || !strings.Contains(r.errs, required) {
			t.Errorf("%s came from the environment: %d %q", required, r.code, r.errs)
		}
	}
}

// --url stands before the subcommand or behind it.
func TestPlaceOfTheAddress(t *testing.T) {
	nobody := "http://" + closedPort(t)
	for _, command := range []string{"room list", "room show hall", "room create hall", "recording list", "recording get r1", "recording verify r1"} {
		words := strings.Fields(command)
		for _, args := range [][]string{
			append([]string{words[0], "--url", nobody}, words[1:]...),
			append([]string{words[0], words[1], "--url", nobody}, words[2:]...),
			append(slices.Clone(words), "--url", nobody),
		} {
			r := airloom(t, args...)
			if r.code != exitFailed || !strings.Contains(r.errs, strings.TrimPrefix(nobody, "http://")) {
				t.Errorf("%s: %d %q", fmt.Sprint(args), r.code, r.errs)
			}
		}
	}
}
