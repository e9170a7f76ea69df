package edge

import (
	"errors"
	"testing"

	"airloom/internal/strict"
)

// Every request of docs/wire.md 3.1 is decoded from whatever a stranger sends: it is refused by name or it is taken, and
// what is taken comes from JSON without a key twice or a field that is not known.
func FuzzRequests(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","id":1,"protocol":1,"token":"t","room":"hall","listen":true,"tracks":[{"track":"a","epoch":0,"acked":-1}]}`,
		`{"type":"track.start","id":2,"name":"mic","channels":1,"frame_ms":20,"epoch":0,"clock":{"timestamp":0,"unix_us":1}}`,
		`{"type":"track.mute","id":3,"track":"a","muted":true}`, `{"type":"track.end","id":4,"track":"a","epoch":0,"last":-1}`,
		`{"type":"gap","id":5,"track":"a","epoch":0,"from":1,"to":4294967295}`, `{"type":"listen","id":6,"on":false}`,
		`{"type":"refresh","id":7,"token":"t"}`, `{"type":"leave","id":8}`, `{"type":"ping","id":9,"t":1e308}`,
		`{"id":1e999}`, `{"id":-1}`, `{"id":1,"id":2}`, `[[[[[[[[[[]]]]]]]]]]`, `{"type":"ping","id":9007199254740993}`, "\xff",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, request := range []any{
			&helloRequest{}, &trackStartRequest{}, &trackMuteRequest{}, &trackEndRequest{}, &gapRequest{},
			&listenRequest{}, &refreshRequest{}, &leaveRequest{}, &pingRequest{},
		} {
			err := strict.Decode(b, controlDepth, request)
			if err == nil {
				if err := strict.Check(b, controlDepth); err != nil {
					t.Fatalf("%T took what is refused: %v", request, err)
				}
				continue
			}
			if !errors.Is(err, strict.ErrSyntax) && !errors.Is(err, strict.ErrDepth) && !errors.Is(err, strict.ErrDuplicate) && !errors.Is(err, strict.ErrField) {
				t.Fatalf("%T: a refusal without a name: %v", request, err)
			}
		}
	})
}
