package otp

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
)

var now = time.Date(2026, 11, 23, 8, 0, 10, 0, time.UTC)

func hotpToken(next int64) sallyport.OTPToken {
	return sallyport.OTPToken{
		ID: "t1", Serial: "H-1", Kind: sallyport.HOTP, Algorithm: sallyport.SHA1, Digits: 6, Seed: sallyport.Key("12345678901234567890"),
		Next: next, Account: `hospital\alice`, State: sallyport.OTPTokenActive,
	}
}

func totpToken() sallyport.OTPToken {
	t := hotpToken(0)
	t.Serial, t.Kind, t.Period = "T-1", sallyport.TOTP, 30*time.Second
	return t
}

func show(t testing.TB, token sallyport.OTPToken, counter int64) sallyport.Secret {
	t.Helper()
	code, err := Code(token, counter)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// RFC 4226 appendix D.
func TestHOTPIsThatOfTheRFC(t *testing.T) {
	for counter, want := range strings.Fields("755224 287082 359152 969429 338314 254676 287922 162583 399871 520489") {
		if got := show(t, hotpToken(0), int64(counter)); string(got) != want {
			t.Errorf("counter %d: %s, want %s", counter, string(got), want)
		}
	}
}

// RFC 6238 appendix B.
func TestTOTPIsThatOfTheRFC(t *testing.T) {
	for seconds, want := range map[int64]map[sallyport.OTPAlgorithm]string{
		59:          {sallyport.SHA1: "94287082", sallyport.SHA256: "46119246", sallyport.SHA512: "90693936"},
		1111111109:  {sallyport.SHA1: "07081804", sallyport.SHA256: "68084774", sallyport.SHA512: "25091201"},
		1111111111:  {sallyport.SHA1: "14050471", sallyport.SHA256: "67062674", sallyport.SHA512: "99943326"},
		1234567890:  {sallyport.SHA1: "89005924", sallyport.SHA256: "91819424", sallyport.SHA512: "93441116"},
		2000000000:  {sallyport.SHA1: "69279037", sallyport.SHA256: "90698825", sallyport.SHA512: "38618901"},
		20000000000: {sallyport.SHA1: "65353130", sallyport.SHA256: "77737706", sallyport.SHA512: "47863826"},
	} {
		for algorithm, code := range want {
			token := totpToken()
			token.Algorithm, token.Digits = algorithm, 8
			size := map[sallyport.OTPAlgorithm]int{sallyport.SHA1: 20, sallyport.SHA256: 32, sallyport.SHA512: 64}[algorithm]
			token.Seed = sallyport.Key(strings.Repeat("1234567890", 7)[:size])
			if got := show(t, token, Step(token, time.Unix(seconds, 0))); string(got) != code {
				t.Errorf("%s at %d: %s, want %s", algorithm, seconds, string(got), code)
			}
		}
	}
}

// oathtool is an independent opinion.
func TestCodesAreOathtools(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, algorithm := range []sallyport.OTPAlgorithm{sallyport.SHA1, sallyport.SHA256, sallyport.SHA512} {
		for _, digits := range []int{6, 7, 8} {
			for _, period := range []time.Duration{0, 30 * time.Second, time.Minute} {
				token := totpToken()
				token.Algorithm, token.Digits, token.Period, token.Seed = algorithm, digits, period, make(sallyport.Key, 10+r.IntN(55))
				for i := range token.Seed {
					token.Seed[i] = byte(r.Uint32())
				}
				at := now.Add(time.Duration(r.Int64N(int64(20 * 365 * 24 * time.Hour))))
				args := []string{"--totp=" + string(algorithm), "--time-step-size=" + period.String(), "--now", at.Format("2006-01-02 15:04:05 UTC")}
				counter := r.Int64N(1 << 40)
				if period == 0 {
					if token.Kind = sallyport.HOTP; algorithm != sallyport.SHA1 {
						continue // oathtool has HOTP with SHA-1 only
					}
					args = []string{"--counter", fmt.Sprint(counter)}
				} else {
					counter = Step(token, at)
				}
				want, err := exec.Command("oathtool", append(args, "--digits", fmt.Sprint(digits), fmt.Sprintf("%x", []byte(token.Seed)))...).Output()
				if err != nil {
					t.Fatalf("oathtool: %v", err)
				}
				if got := show(t, token, counter); string(got) != strings.TrimSpace(string(want)) {
					t.Errorf("%s, %d digits, %v: %s, oathtool has %s", algorithm, digits, period, string(got), want)
				}
			}
		}
	}
}

func TestHOTPIsFoundAheadAndNotBehind(t *testing.T) {
	token := hotpToken(100)
	for counter := int64(90); counter <= 120; counter++ {
		p, found := Find(token, show(t, token, counter), now)
		if want := counter >= 99 && counter <= 110; found != want || found && p != (Place{Counter: counter}) {
			t.Errorf("counter %d: %+v, %v", counter, p, found)
		}
	}
	if _, found := Find(hotpToken(0), show(t, token, 0), now); !found {
		t.Error("the first code of a new token is not found")
	}
}

func TestTOTPIsFoundAroundItsOwnTime(t *testing.T) {
	for period, around := range map[time.Duration]int64{30 * time.Second: 2, time.Minute: 1} {
		for _, drift := range []int64{0, 7, -60} {
			token := totpToken()
			token.Period, token.Drift = period, drift
			here := Step(token, now)
			for off := int64(-4); off <= 4; off++ {
				p, found := Find(token, show(t, token, here+drift+off), now)
				if want := off >= -around && off <= around; found != want || found && p != (Place{Counter: here + drift + off, Drift: drift + off}) {
					t.Errorf("%v, drift %d, %d off: %+v, %v", period, drift, off, p, found)
				}
			}
		}
	}
}

// A clock that goes wrong by a step every few days is followed for ever.
func TestDriftIsFollowed(t *testing.T) {
	token, at := totpToken(), now
	for day := range int64(400) {
		at = at.Add(24 * time.Hour)
		p, found := Find(token, show(t, token, Step(token, at)-day/5), at)
		if !found || p.Drift != -day/5 {
			t.Fatalf("day %d: %+v, %v", day, p, found)
		}
		token.Next, token.Drift = p.Counter+1, p.Drift
	}
}

func TestWhatWasUsedIsFoundOnlyIfItWasTheLast(t *testing.T) {
	token := totpToken()
	here := Step(token, now)
	token.Next = here + 1
	for off, want := range map[int64]bool{-2: false, -1: false, 0: true, 1: true, 2: true} {
		if _, found := Find(token, show(t, token, here+off), now); found != want {
			t.Errorf("%d off: %v", off, found)
		}
	}
}

// Two places of a window may make the same code: the one that was not used yet counts.
func TestOfTwoPlacesTheUnusedOneCounts(t *testing.T) {
	token := hotpToken(0)
	for c := int64(0); ; c++ {
		code := show(t, token, c)
		for next := c + 1; next <= c+ahead; next++ {
			if show(t, token, next) != code {
				continue
			}
			token.Next = c + 1
			if p, found := Find(token, code, now); !found || p.Counter != next {
				t.Errorf("the code of %d and %d: %+v, %v", c, next, p, found)
			}
			return
		}
	}
}

func TestWhatIsNoCodeIsNotFound(t *testing.T) {
	token := hotpToken(0)
	code := show(t, token, 0)
	for _, typed := range []sallyport.Secret{"", "75522", "7552244", "75522x", "755 224", "７５５", sallyport.Secret(strings.Repeat("7", 1000)), "755225"} {
		if _, found := Find(token, typed, now); found {
			t.Errorf("%q is found", string(typed))
		}
	}
	for name, spoil := range map[string]func(*sallyport.OTPToken){
		"nobody's":  func(t *sallyport.OTPToken) { t.Account = "" },
		"disabled":  func(t *sallyport.OTPToken) { t.State = sallyport.OTPTokenDisabled },
		"no state":  func(t *sallyport.OTPToken) { t.State = "" },
		"no seed":   func(t *sallyport.OTPToken) { t.Seed = nil },
		"algorithm": func(t *sallyport.OTPToken) { t.Algorithm = "md5" },
		"kind":      func(t *sallyport.OTPToken) { t.Kind = "" },
	} {
		other := token
		spoil(&other)
		if _, found := Find(other, code, now); found {
			t.Errorf("%s: found", name)
		}
	}
	if _, err := Code(token, -1); err == nil {
		t.Error("there is a code before the first")
	}
}

func TestResynchronisation(t *testing.T) {
	h, s := hotpToken(100), totpToken()
	here := Step(s, now)
	s.Next = here - 1000
	for name, c := range map[string]struct {
		token sallyport.OTPToken
		at    []int64 // counters whose codes are typed
		want  Place
		code  sallyport.Code
	}{
		"HOTP far ahead":          {h, []int64{1050, 1051}, Place{Counter: 1051}, ""},
		"HOTP at once":            {h, []int64{100, 101, 102}, Place{Counter: 102}, ""},
		"HOTP too far":            {h, []int64{1101, 1102}, Place{}, sallyport.CodeDenied},
		"HOTP used":               {h, []int64{98, 99}, Place{}, sallyport.CodeDenied},
		"HOTP one of them used":   {h, []int64{99, 100}, Place{}, sallyport.CodeDenied},
		"HOTP one left out":       {h, []int64{200, 202}, Place{}, sallyport.CodeDenied},
		"HOTP backwards":          {h, []int64{201, 200}, Place{}, sallyport.CodeDenied},
		"HOTP third wrong":        {h, []int64{200, 201, 203}, Place{}, sallyport.CodeDenied},
		"TOTP a clock behind":     {s, []int64{here - 900, here - 899}, Place{Counter: here - 899, Drift: -899}, ""},
		"TOTP a clock ahead":      {s, []int64{here + 2880, here + 2881, here + 2882}, Place{Counter: here + 2882, Drift: 2882}, ""},
		"TOTP a clock a week off": {s, []int64{here + 20160, here + 20161}, Place{}, sallyport.CodeDenied},
		"TOTP used":               {s, []int64{here - 1002, here - 1001}, Place{}, sallyport.CodeDenied},
		"one code":                {h, []int64{100}, Place{}, sallyport.CodeInvalid},
		"four codes":              {h, []int64{100, 101, 102, 103}, Place{}, sallyport.CodeInvalid},
	} {
		var codes []sallyport.Secret
		for _, counter := range c.at {
			codes = append(codes, show(t, c.token, counter))
		}
		p, err := Resynchronise(c.token, codes, now)
		if p != c.want || sallyport.ErrorCode(err) != c.code {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if err == nil {
			c.token.Next, c.token.Drift = p.Counter+1, p.Drift
			if again, found := Find(c.token, show(t, c.token, p.Counter+1), now.Add(c.token.Period)); !found || again.Drift != p.Drift {
				t.Errorf("%s: the next code is found at %+v, %v", name, again, found)
			}
		}
		for _, code := range codes {
			if err != nil && strings.Contains(err.Error(), string(code)) {
				t.Errorf("%s: the error shows a code", name)
			}
		}
	}
	if _, err := Resynchronise(h, []sallyport.Secret{"755224", "28708"}, now); sallyport.ErrorCode(err) != sallyport.CodeInvalid {
		t.Errorf("a code of five digits: %v", err)
	}
}

// Codes that are typed find a place at most where they are the token's, and never one that was used before the last.
func FuzzFind(f *testing.F) {
	f.Add("755224", int64(0), int64(0), true)
	f.Add("", int64(5), int64(-1), false)
	f.Add("000000", int64(1<<53), int64(1<<62), false)
	f.Fuzz(func(t *testing.T, typed string, next, drift int64, isHOTP bool) {
		token := totpToken()
		if isHOTP {
			token = hotpToken(0)
		}
		token.Next, token.Drift = next, drift%(1<<40)
		p, found := Find(token, sallyport.Secret(typed), now)
		if !found {
			return
		}
		if p.Counter < next-1 || string(show(t, token, p.Counter)) != typed {
			t.Errorf("%q after %d is found at %+v", typed, next, p)
		}
	})
}
