package main

import (
	"encoding/json"
	"testing"
)

func TestBenchFoldMeasuresBothWays(t *testing.T) {
	ran := airloom(t, "bench", "fold", "--events", "2000", "--rooms", "1,10", "--inside", "20", "--json", "--data", t.TempDir())
	var result foldResult
	if err := json.Unmarshal([]byte(ran.out), &result); ran.code != 0 || err != nil || len(result.Shapes) != 2 {
		t.Fatalf("%d %v: %s%s", ran.code, err, ran.out, ran.errs)
	}
	for i, rooms := range []int{1, 10} {
		s := result.Shapes[i]
		if s.Rooms != rooms || s.Events != 2000 || s.Load.P50 <= 0 || s.LoadSnapshot.P50 <= 0 || s.Snapshot.N != rooms || s.Bytes == 0 || s.Start <= 0 || s.StartAgain <= 0 {
			t.Errorf("%+v", s)
		}
	}
	for _, args := range [][]string{{"--events", "0"}, {"--rooms", "0"}, {"--events", "5", "--rooms", "6"}, {"--inside", "-1"}} {
		if ran := airloom(t, append([]string{"bench", "fold"}, args...)...); ran.code != exitUsage {
			t.Errorf("%v: %d %s", args, ran.code, ran.errs)
		}
	}
}
