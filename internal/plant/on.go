//go:build plant

package plant

import (
	"os"
	"strings"
)

var chosen = strings.Split(os.Getenv("AIRLOOM_PLANT"), ",")

// On says whether AIRLOOM_PLANT (bugs, comma separated) names the bug.
func On(bug Bug) bool {
	for _, name := range chosen {
		if name == string(bug) {
			return true
		}
	}
	return false
}
