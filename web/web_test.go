package web

import (
	"io/fs"
	"testing"
)

func TestDistAgreesWithBuilt(t *testing.T) {
	_, err := fs.ReadFile(Dist(), "index.html")
	if Built() != (err == nil) {
		t.Fatalf("Built() = %v, but reading index.html: %v", Built(), err)
	}
	if !Built() {
		return
	}
	for _, name := range []string{"worker.js", "worklet.js"} {
		if _, err := fs.Stat(Dist(), name); err != nil {
			t.Errorf("a built bundle lacks %s: %v", name, err)
		}
	}
}
