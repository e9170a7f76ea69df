//go:build !plant

package plant

// On says whether a bug is switched on.
func On(Bug) bool { return false }
