// Package arch_test holds the shape of the house: which package may import which, and that the pure ones stay pure. It reads
// import clauses only, so it takes no time and needs nothing to compile.
package arch_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "airloom/"

// forbidden: a package below the left side never imports one below a right side (in code that ships; tests may).
var forbidden = map[string][]string{
	"internal/room":     {"internal", "services", "cmd", "web"},
	"internal/frame":    {"internal", "services", "cmd", "web"},
	"internal/strict":   {"internal", "services", "cmd", "web"},
	"internal/name":     {"internal", "services", "cmd", "web"},
	"internal/subject":  {"internal/bus", "internal/eventlog", "internal/frame", "services", "cmd", "web"},
	"internal/bus":      {"internal/room", "internal/eventlog", "services", "cmd", "web"},
	"internal/eventlog": {"internal/frame", "internal/auth", "services", "cmd", "web"},
	"internal":          {"services", "cmd"},
	"services/edge":     {"services/presence", "services/recorder", "cmd"},
	"services/presence": {"services/edge", "services/recorder", "internal/frame", "cmd", "web"},
	"services/recorder": {"services/edge", "services/presence", "cmd", "web"},
	"web":               {"internal", "services", "cmd"},
}

// pure packages compute: they have no I/O, no goroutines to guard and nobody to log to.
var pure = []string{"internal/room", "internal/frame", "internal/name", "internal/outgoing", "internal/strict", "internal/subject"}

var impure = []string{"context", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "os/signal", "sync", "sync/atomic", "syscall"}

var shapeless = []string{"common", "helpers", "misc", "models", "shared", "types", "util", "utils"}

func TestArrowsPointOneWay(t *testing.T) {
	graph := imports(t)
	for from, targets := range forbidden {
		for _, pkg := range slices.Sorted(maps.Keys(graph)) {
			if !below(pkg, from) {
				continue
			}
			for _, to := range graph[pkg] {
				own := strings.TrimPrefix(to, module)
				if to == own || own == pkg {
					continue // somebody else's package
				}
				if slices.ContainsFunc(targets, func(target string) bool { return below(own, target) }) {
					t.Errorf("%s imports %s: this arrow turns back", pkg, own)
				}
			}
		}
	}
}

func TestThePureStayPure(t *testing.T) {
	graph := imports(t)
	for _, pkg := range pure {
		if graph[pkg] == nil {
			t.Errorf("%s is not there: correct the list", pkg)
		}
		for _, to := range graph[pkg] {
			if slices.Contains(impure, to) || strings.HasPrefix(to, "github.com/nats-io/") {
				t.Errorf("%s imports %s", pkg, to)
			}
		}
	}
}

func TestPackagesAreNamedAfterAThing(t *testing.T) {
	for pkg := range imports(t) {
		if slices.Contains(shapeless, path.Base(pkg)) {
			t.Errorf("%s: name it after what it is", pkg)
		}
	}
}

func below(pkg, top string) bool { return pkg == top || strings.HasPrefix(pkg, top+"/") }

// imports gives what each package of the module imports, tests apart.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	graph := map[string][]string{}
	for _, top := range []string{"cmd", "internal", "services", "web"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(file string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata") {
				return fs.SkipDir
			}
			if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			return read(graph, root, file)
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if len(graph) == 0 {
		t.Fatal("no packages found")
	}
	return graph
}

func read(graph map[string][]string, root, file string) error {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	dir, err := filepath.Rel(root, filepath.Dir(file))
	if err != nil {
		return err
	}
	pkg := filepath.ToSlash(dir)
	list := append([]string{}, graph[pkg]...)
	for _, spec := range parsed.Imports {
		to, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		list = append(list, to)
	}
	graph[pkg] = list
	return nil
}
