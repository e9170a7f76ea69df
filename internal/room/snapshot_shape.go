package room

import (
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// shape stands for everything a fold consists of: the fields of a state and the event types that are folded. A build that
// knows an event more, or keeps a field more, finds snapshots of others foreign, because they may lack what it would have
// folded.
var shape = shapeOf(State{}, slices.Sorted(maps.Keys(facts)))

func shapeOf(state any, events []string) string {
	var b strings.Builder
	describe(&b, reflect.TypeOf(state), map[reflect.Type]bool{})
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %v", b.String(), events)
	return fmt.Sprintf("%016x", h.Sum64())
}

// describe writes a type with all that it is made of.
func describe(b *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintf(b, "%s ", t)
	if seen[t] {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		describe(b, t.Elem(), seen)
	case reflect.Map:
		describe(b, t.Key(), seen)
		describe(b, t.Elem(), seen)
	case reflect.Struct:
		if t.PkgPath() != reflect.TypeFor[State]().PkgPath() {
			return // the standard library's, as time.Time
		}
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(b, "%s:", f.Name)
			describe(b, f.Type, seen)
		}
	}
}
