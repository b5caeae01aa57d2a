package e2e_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	"github.com/sallyport/sallyport/test/stack"
)

func TestTokenIsAcceptedOnceByRadclient(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	both := s.RADIUSAddrs()
	for first, name := range []string{"first appliance", "second appliance"} {
		t.Run(name, func(t *testing.T) {
			token := granted(t, s.Page(), u, d)
			if radclient(t, s, both[first], u.Name, edit(token)) {
				t.Error("edited: accepted")
			}
			if radclient(t, s, both[first], "alice", token) {
				t.Error("of another user: accepted")
			}
			if !radclient(t, s, both[first], u.Name, token) {
				t.Fatal("refused the first time")
			}
			if radclient(t, s, both[first], u.Name, token) {
				t.Error("replayed at the same appliance: accepted")
			}
			if radclient(t, s, both[1-first], u.Name, token) {
				t.Error("replayed at the other appliance: accepted")
			}
		})
	}
}

// edit changes one character of a token.
func edit(token sallyport.Secret) sallyport.Secret {
	b := []byte(token)
	if b[20]++; b[20] == 'Z'+1 || b[20] == 'z'+1 || b[20] == '9'+1 || b[20] == '-'+1 || b[20] == '_'+1 {
		b[20] = 'A'
	}
	return sallyport.Secret(b)
}

func TestRetransmittedPacketHasTheSameAnswerOnBothAppliances(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	wire, err := packet(s.RADIUSSecret, u.Name, granted(t, s.Page(), u, d))
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range append(s.RADIUSAddrs(), s.RADIUSAddrs()...) {
		if accept, err := ask(within(t, patience), addr, s.RADIUSSecret, wire, 5*time.Second, 3); !accept || err != nil {
			t.Errorf("at %s: %v, %v", addr, accept, err)
		}
	}
	other, err := packet(s.RADIUSSecret, u.Name, "000000")
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range s.RADIUSAddrs() {
		if accept, err := ask(within(t, patience), addr, s.RADIUSSecret, other, 5*time.Second, 3); accept || err != nil {
			t.Errorf("wrong code at %s: %v, %v", addr, accept, err)
		}
	}
}

func TestAThousandAtOnceWithOneTokenLetOneIn(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u, d := enrolled(t, s)
	token := granted(t, s.Page(), u, d)
	const many = 1000
	packets := make([][]byte, many)
	for i := range packets {
		var err error
		if packets[i], err = packet(s.RADIUSSecret, u.Name, token); err != nil {
			t.Fatal(err)
		}
	}
	ctx := within(t, 2*patience)
	var accepted, refused atomic.Int32
	var all sync.WaitGroup
	start := make(chan struct{})
	for i, wire := range packets {
		all.Go(func() {
			<-start
			accept, err := ask(ctx, s.RADIUSAddrs()[i%2], s.RADIUSSecret, wire, 5*time.Second, 6)
			switch {
			case err != nil:
				t.Errorf("request %d: %v", i, err)
			case accept:
				accepted.Add(1)
			default:
				refused.Add(1)
			}
		})
	}
	close(start)
	all.Wait()
	if accepted.Load() != 1 || refused.Load() != many-1 {
		t.Errorf("%d accepted, %d refused of %d", accepted.Load(), refused.Load(), many)
	}
}

// mint makes a token as an appliance would whose clock is off.
func mint(t *testing.T, s *stack.Stack, u stack.User, clock time.Duration) sallyport.Secret {
	t.Helper()
	ring, err := keyring.Load(s.ApplianceDir(0))
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := ring.Tokens()
	if err != nil {
		t.Fatal(err)
	}
	nonce := [8]byte([]byte(sallyport.NewID()))
	return tokens.Mint(s.Integration, u.Account(), nonce, time.Now().Add(clock+gatewaytoken.Lifetime))
}

func TestExpiredTokensAreRefusedAndTheLogSaysWhy(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	u := s.NewUser(t)
	for i, addr := range s.RADIUSAddrs() {
		// Older than the life of a token and the difference of clocks that is allowed for.
		old := mint(t, s, u, -gatewaytoken.Lifetime-gatewaytoken.Skew-5*time.Second)
		mark := s.Appliances[i].LogSize()
		if radclient(t, s, addr, u.Name, old) {
			t.Errorf("expired token accepted at %s", addr)
		}
		stack.Until(t, patience, "a log line that says the token expired", func() bool {
			for _, line := range strings.Split(s.Appliances[i].LogSince(mark), "\n") {
				if strings.Contains(line, u.Name) && strings.Contains(line, "gateway token expired") && strings.Contains(line, "log in again") {
					return true
				}
			}
			return false
		})
	}
}

func TestClocksAMinuteApart(t *testing.T) {
	t.Parallel()
	s := shared.Get(t)
	const nearly = time.Minute - 5*time.Second // the test takes a moment as well
	u, d := enrolled(t, s)
	for name, off := range map[string]time.Duration{"behind": -nearly, "ahead": nearly} {
		t.Run("appliance "+name, func(t *testing.T) {
			for _, addr := range s.RADIUSAddrs() {
				token := mint(t, s, u, off)
				if !radclient(t, s, addr, u.Name, token) {
					t.Errorf("token of an appliance that is %v off refused at %s", off, addr)
				}
				if radclient(t, s, addr, u.Name, token) {
					t.Errorf("token of an appliance that is %v off accepted twice at %s", off, addr)
				}
			}
		})
		t.Run("phone "+name, func(t *testing.T) {
			d.Now = func() time.Time { return time.Now().Add(off) }
			defer func() { d.Now = time.Now }()
			granted(t, s.Page(), u, d)
		})
	}
	for name, off := range map[string]time.Duration{"behind": -nearly, "ahead": nearly} {
		t.Run("token code of a phone that is "+name, func(t *testing.T) {
			u, d := enrolled(t, s)
			code, err := d.CodeAt(time.Now().Add(off))
			if err != nil {
				t.Fatal(err)
			}
			if !radclient(t, s, s.RADIUSAddrs()[0], u.Name, code) {
				t.Error("refused")
			}
			if radclient(t, s, s.RADIUSAddrs()[1], u.Name, code) {
				t.Error("accepted twice")
			}
		})
	}
}
