package appliance

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/passcode"
	"github.com/sallyport/sallyport/test/harness"
)

// A thousand guesses at once, at two appliances with PostgreSQL between them, through both front doors: of every factor that is typed, five
// are looked at, the user is blocked once, and the right code is refused for as long.
func TestAThousandGuessesAtOnceThroughBothDoors(t *testing.T) {
	t.Parallel()
	w := newTwoDoors(t, harness.StartPostgres(t).Database())
	w.issue("1234-5678", 2*time.Hour)
	const forks, overlays, radiuses = 20, 8, 40 // guesses at one question, questions in the overlay, questions in RADIUS: 200 of each factor
	type guess func()
	var guesses []guess
	var mu sync.Mutex
	stood := map[string]int{}
	add := func(m sallyport.Method, s sitting, appliance int) {
		guesses = append(guesses, func() {
			stands, _ := s.types(appliance, noCode)
			mu.Lock()
			defer mu.Unlock()
			stood[string(m)+" "+stands]++
		})
	}
	kept := map[sallyport.Method][]sitting{}
	for m := range typedFactors {
		for _, begin := range doorNames {
			kept[m] = append(kept[m], begin(w, m, 0), begin(w, m, 1))
		}
		for i := range overlays {
			s := w.atOverlay(m, i%2)
			for n := range forks { // a cloud that is not to be trusted can do that: each answers the same question
				add(m, s, n%2)
			}
		}
		for i := range radiuses {
			add(m, w.atRADIUS(m, i%2), (i+1)%2)
		}
	}
	rand.Shuffle(len(guesses), func(i, j int) { guesses[i], guesses[j] = guesses[j], guesses[i] })
	work := make(chan guess, len(guesses))
	for _, g := range guesses {
		work <- g
	}
	close(work)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for g := range work {
				g()
			}
		})
	}
	wg.Wait()

	if len(guesses) != 1000 {
		t.Fatalf("%d guesses", len(guesses))
	}
	for m := range typedFactors {
		account := "account=" + string(accountOf(m)) + " "
		if stood[string(m)+" asked"] != 200 {
			t.Errorf("%s: %v", m, stood)
		}
		refused := w.log.count("passcode refused", account)
		after, tooMany := w.log.count("passcode refused", account, "blocked after"), w.log.count("passcode refused", account, "blocked: too many")
		kind, counted, locked := "passcode", refused-after, "passcodes blocked"
		if m == sallyport.MethodExternal {
			kind, counted, locked = "external", refused, "token server not asked for a while"
		}
		n, err := w.stores[1].Failures(t.Context(), accountOf(m), kind, w.now(), passcode.Window)
		if err != nil || n != counted {
			t.Errorf("%s: %d counted, %v, but %d told that they count", m, n, err, counted)
		}
		if looked := refused - after - tooMany; refused != 200 || looked != passcode.MaxWrong {
			t.Errorf("%s: %d refused, %d of them looked at", m, refused, looked)
		}
		if said := w.log.count(locked, account); said != 1 {
			t.Errorf("%s: blocked %d times", m, said)
		}
	}
	if w.asked != 5 {
		t.Errorf("the token server was asked %d times", w.asked)
	}
	// Blocked is blocked, at every door and appliance, also for who has the right code.
	for m, sittings := range kept {
		code := "12345678"
		if m != sallyport.MethodTemporary {
			code = w.right(m)
		}
		for i, s := range sittings {
			if stands, _ := s.types(i%2, code); stands != "asked" {
				t.Errorf("%s: the right code while it is blocked: %s", m, stands)
			}
		}
	}
	w.later(time.Hour + time.Second) // the messages of an hour are used up as well
	for m := range typedFactors {
		for name, begin := range doorNames {
			s := begin(w, m, 0)
			code := "12345678"
			if m != sallyport.MethodTemporary {
				code = w.right(m)
			}
			if stands, _ := s.types(1, code); stands != "in" {
				t.Errorf("%s, %s: the right code afterwards: %s", m, name, stands)
			}
			w.later(2 * time.Minute) // no code is taken twice
		}
	}
}
