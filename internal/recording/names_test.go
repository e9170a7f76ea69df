package recording

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Row 13 of the bad inputs: a recording's own files have names, nothing else has.
func TestRow13NamesAreParsed(t *testing.T) {
	const id = "20261120-120300123-local-42"
	for _, good := range []string{
		"manifest.json", "manifest.AAECAwQFBgc.sig", "manifest.-_8CAwQFBgc.sig", "aaaaaai.opus",
		"segments/aaaaaai/0-0.seg", "segments/aaaaaai/255-8589934.seg", "segments/777777y/12-340.seg",
	} {
		if key, err := FileKey(id, good); err != nil || key != "recordings/"+id+"/"+good || !IsFile(good) {
			t.Errorf("FileKey(%q) = %q, %v", good, key, err)
		}
	}
	if key, err := FileKey("r", "manifest.json"); err != nil || key != ManifestKey("r") {
		t.Errorf("%q %v", key, err)
	}
	for _, bad := range []string{"..", "", "a/b", "%2e%2e", "a\x00", "A", strings.Repeat("a", 65)} {
		if key, err := FileKey(bad, "manifest.json"); !errors.Is(err, ErrName) {
			t.Errorf("FileKey of recording %q = %q, %v", bad, key, err)
		}
	}
	for _, bad := range []string{
		"", "open.json", "../x/manifest.json", "..%2fmanifest.json", "manifest.json\x00", "manifest.json\n", "Manifest.json", "manifestxjson",
		".opus", "AAAAAAI.opus", "aaaaaaa.opus", "aaaaaai.opus/", "aaaaaai.json", "segments/aaaaaai.opus", "quarantine/aaaaaai.opus",
		"manifest..sig", "manifest.sig", "manifest.AAECAwQFBg.sig", "manifest.AAECAwQFBgcI.sig", "manifest.AAECAwQFBgd.sig", "manifest.../../../x.sig",
		"manifest.AAEC/wQFBgc.sig", "manifest.AAECAwQFBgc.sig/", "x/manifest.AAECAwQFBgc.sig", "manifest.AAEC+wQFBgc.sig",
		"segments/aaaaaai/", "segments/aaaaaai/0-0", "segments/aaaaaai/00-0.seg", "segments/aaaaaai/0-01.seg", "segments/aaaaaai/256-0.seg",
		"segments/aaaaaai/0-8589935.seg", "segments/aaaaaai/0-99999999999.seg", "segments/aaaaaai/-1-0.seg", "segments/aaaaaai/0-0.seg.opus",
		"segments/../aaaaaai/0-0.seg", "segments/aaaaaai/../0-0.seg", "/segments/aaaaaai/0-0.seg", "segments//0-0.seg", "aaaaaai/0-0.seg",
	} {
		if key, err := FileKey(id, bad); !errors.Is(err, ErrName) || IsFile(bad) {
			t.Errorf("FileKey(%q) = %q, %v", bad, key, err)
		}
	}
}

func TestOfAnotherRegion(t *testing.T) {
	for id, other := range map[string]bool{
		"20261120-120300123-eu-000042": false, "20261120-120300123-us-000042": true, "20261120-120300123-eu-west-000042": true,
		"20261120-120300-k3m2aq": false, "anything": false, "a-b": false, "20261120-120300123-eu": false,
	} {
		if got := OfAnotherRegion(id, "eu"); got != other {
			t.Errorf("%s: %v", id, got)
		}
	}
	if id := ID("eu-west", time.Now(), 7); OfAnotherRegion(id, "eu-west") || !OfAnotherRegion(id, "eu") {
		t.Error(id)
	}
}
