package login

import (
	"bytes"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

func keeper() Keeper { return Keeper{Key: bytes.Repeat([]byte{7}, 32)} }

func TestStateOpensForItsLoginOnlyAndNotAfterItsEnd(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	k := keeper()
	box, err := k.Seal(State{Login: "l1", Version: 3, End: now.Add(time.Minute).UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := k.Open(box, "l1", now); err != nil || s.Version != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	if s, err := k.Open(box, "l1", now.Add(90*time.Second)); err != nil || s.Version != 3 {
		t.Errorf("an appliance whose clock is ahead refuses: %v", err)
	}
	edited := bytes.Clone(box)
	edited[len(edited)-1] ^= 1
	for name, c := range map[string]struct {
		key   Keeper
		box   []byte
		login sallyport.LoginID
		now   time.Time
		want  sallyport.Code
	}{
		"another login":      {k, box, "l2", now, sallyport.CodeInvalid},
		"edited":             {k, edited, "l1", now, sallyport.CodeInvalid},
		"cut":                {k, box[:20], "l1", now, sallyport.CodeInvalid},
		"empty":              {k, nil, "l1", now, sallyport.CodeInvalid},
		"huge":               {k, make([]byte, MaxState+1), "l1", now, sallyport.CodeInvalid},
		"another enterprise": {Keeper{Key: bytes.Repeat([]byte{8}, 32)}, box, "l1", now, sallyport.CodeInvalid},
		"late":               {k, box, "l1", now.Add(3 * time.Minute), sallyport.CodeExpired},
	} {
		if _, err := c.key.Open(c.box, c.login, c.now); sallyport.ErrorCode(err) != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

func FuzzOpenState(f *testing.F) {
	k := keeper()
	box, err := k.Seal(State{Login: "l1", End: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(box)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := k.Open(b, "l1", time.UnixMilli(0)); err == nil && !bytes.Equal(b, box) {
			t.Error("a state that nobody sealed was opened")
		}
	})
}
