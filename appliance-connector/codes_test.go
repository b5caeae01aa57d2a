package appliance

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

// tooOld is when a code of a factor is too old; it was made for the login that it is typed in.
var tooOld = map[sallyport.Method]time.Duration{
	sallyport.MethodCode: 5 * time.Minute, sallyport.MethodOTP: 5 * time.Minute, sallyport.MethodSMS: 5 * time.Minute, sallyport.MethodTemporary: 5 * time.Minute,
}

// Every factor that is typed, through both front doors, each step at the appliance that did not take the one before.
func TestCodesThroughBothDoors(t *testing.T) {
	t.Parallel()
	for door, begin := range doorNames {
		for m := range typedFactors {
			t.Run(door+", "+string(m), func(t *testing.T) {
				w := newTwoDoors(t, "")
				stands := func(what string, s sitting, code, want string) sitting {
					t.Helper()
					got, next := s.types(1, code)
					if got != want {
						t.Errorf("%s: %s, want %s", what, got, want)
					}
					return next
				}
				reset := func() {
					w.later(2 * time.Minute) // no code is taken twice
					for _, kind := range []string{"passcode", "external", "sms", "push"} {
						ok(t, w.stores[0].ResetFailures(t.Context(), accountOf(m), kind))
					}
					if m == sallyport.MethodTemporary {
						w.right(m) // it is asked for once it is issued
					}
				}
				reset()

				s := begin(w, m, 0)
				code := w.right(m)
				stands("right", s, code, "in")
				stands("the same answer repeated", s, code, "in")
				if m == sallyport.MethodSMS {
					begin(w, m, 0) // its own message has another code
				}
				again := begin(w, m, 0)
				if m == sallyport.MethodTemporary {
					stands("a temporary code again", again, code, "in") // it is good until it ends
				} else {
					stands("in another login", again, code, "asked")
				}

				reset()
				s = begin(w, m, 0)
				s = stands("wrong", s, noCode, "asked")
				stands("right, after a wrong one", s, w.right(m), "in")

				reset()
				s = begin(w, m, 0)
				for _, want := range []string{"asked", "asked", "denied"} {
					s = stands("three wrong ones", s, noCode, want)
				}

				for _, malformed := range []string{"abc", "12345", "1234567890123", strings.Repeat("9", 128), "１２３４５６", "' OR 1=1 --", "12 34\x0056", "-12345", "\xff\xfe\xfd"} {
					reset()
					stands("malformed", begin(w, m, 0), malformed, "asked")
				}
				reset()
				if got, _ := begin(w, m, 0).types(1, ""); got == "in" {
					t.Error("nothing at all is taken")
				}

				if late := tooOld[m]; late > 0 {
					reset()
					s = begin(w, m, 0)
					code = w.right(m)
					w.later(late + time.Second)
					stands("late", s, code, "asked")
				}
				reset()
				s = begin(w, m, 0)
				code = w.right(m)
				w.later(12 * time.Minute)
				stands("after the login's end", s, code, "refused")
			})
		}
	}
}
