package passcode_test

import (
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/test/harness"
)

// atOnce makes a thousand tries at the same time, at two appliances with a store each over one PostgreSQL, and
// says how many were taken and how many were looked at.
func atOnce(t *testing.T, w *world, stores [2]*store.Store, try func(c *passcode.Checker, n int) (taken bool, why string, err error)) (taken, looked, counted int64) {
	t.Helper()
	checkers := [2]*passcode.Checker{w.checker(stores[0]), w.checker(stores[1])}
	var accepted, seen, all atomic.Int64
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := range 20 {
				ok, why, err := try(checkers[g%2], g*20+i)
				switch {
				case err != nil:
					t.Errorf("at once: %v", err)
					return
				case ok:
					accepted.Add(1)
				case !strings.HasPrefix(why, "blocked"):
					seen.Add(1)
				}
				if !strings.HasPrefix(why, "blocked after") {
					all.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return accepted.Load(), seen.Load(), all.Load()
}

func TestAThousandGuessesAtOnceOnTwoAppliances(t *testing.T) {
	t.Parallel()
	pg := harness.StartPostgres(t)
	w := newWorld(t)
	address := pg.Database()
	stores := [2]*store.Store{w.open(address), w.open(address)}
	w.store = stores[0]
	token := w.token(alice, hotp("H", 6))
	ctx := t.Context()

	t.Run("a right code is taken once", func(t *testing.T) {
		taken, looked, _ := atOnce(t, w, stores, func(c *passcode.Checker, n int) (bool, string, error) {
			by, why, err := c.CheckCode(ctx, alice, w.at(token, 0), "right-"+strconv.Itoa(n), otpOnly, nil)
			return by == sallyport.MethodOTP, why, err
		})
		// The one that was taken gave the others their tries back, once.
		if taken != 1 || looked > 2*passcode.MaxWrong {
			t.Errorf("%d of 1,000 were taken, %d more were looked at", taken, looked)
		}
		must(t, stores[1].ResetFailures(ctx, alice, "passcode"))
	})
	t.Run("wrong codes count once each and block once", func(t *testing.T) {
		before := strings.Count(w.log.String(), "passcodes blocked")
		wrong := w.wrong(6, token)
		taken, looked, counted := atOnce(t, w, stores, func(c *passcode.Checker, n int) (bool, string, error) {
			by, why, err := c.CheckCode(ctx, alice, wrong, "wrong-"+strconv.Itoa(n), otpOnly, nil)
			return by != "", why, err
		})
		failures, err := stores[1].Failures(ctx, alice, "passcode", w.now, passcode.Window)
		must(t, err)
		if taken != 0 || looked != passcode.MaxWrong || int64(failures) != counted {
			t.Errorf("%d taken, %d looked at, %d told that they count, %d counted", taken, looked, counted, failures)
		}
		if said := strings.Count(w.log.String(), "passcodes blocked") - before; said != 1 {
			t.Errorf("blocked %d times", said)
		}
		if by, why := w.try(w.checker(stores[1]), alice, w.at(token, 5), otpOnly); by != "" || !strings.Contains(why, "blocked") {
			t.Errorf("a right code after them: %q, %s", by, why)
		}
	})
	t.Run("without password as well", func(t *testing.T) {
		ways := []sallyport.Combination{sallyport.OTPAlone}
		wrong := w.wrong(6, token)
		taken, looked, _ := atOnce(t, w, stores, func(c *passcode.Checker, n int) (bool, string, error) {
			by, why, err := c.CheckWithoutPassword(ctx, alice, wrong, "alone-"+strconv.Itoa(n), ways)
			return by != "", why, err
		})
		if taken != 0 || looked != passcode.MaxWrong {
			t.Errorf("%d taken, %d looked at", taken, looked)
		}
	})
}
